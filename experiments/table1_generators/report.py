"""`RESULTS.md` of the comparison: tables with their spread, and the differences that the seeds can tell."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Question, Record
from experiments.cells.statistics import paired_difference
from experiments.cells.tables import difference, spread, table

__all__ = ["write_report"]

MEASURES: Mapping[str, tuple[str, int, Callable[[Mapping[str, Any]], float]]] = {
    "psnr": ("PSNR (dB)", 2, lambda scores: float(scores["psnr"])),
    "ssim": ("SSIM", 4, lambda scores: float(scores["ssim"])),
    "sam": ("SAM (rad)", 4, lambda scores: float(scores["sam_rad"])),
}
TITLES = {
    "cost": "Equal cost",
    "steps": "Equal steps",
    "adversarial": "With and without the adversarial loss, equal steps",
}


def values(records: Sequence[Record], measure: str) -> list[float]:
    """A measure of each record."""
    read = MEASURES[measure][2]
    return [read(record.scores[str(Question("test"))]) for record in records]


def write_report(
    path: Path,
    conclusions: Mapping[str, Any],
    rates: Sequence[Record],
    groups: Mapping[str, Mapping[str, Sequence[Record]]],
) -> None:
    """Write the tables."""
    head = (
        f"<!-- made by python -m experiments.table1_generators --preset {conclusions['preset']} -->\n\n"
        f"Built-in world, {conclusions['date']}, {conclusions['machine']}, preset `{conclusions['preset']}`.\n"
    )
    parts = [head, _costs(conclusions), _rates(rates)]
    parts += [_group(TITLES[name], group) for name, group in groups.items()]
    path.write_text("\n".join(parts), encoding="utf-8")
    print(f"Wrote {path}")


def _costs(conclusions: Mapping[str, Any]) -> str:
    times = conclusions["step_times"]
    rows = [[name, f"{1e3 * t:.0f}", f"{t / times['pix2pix']:.2f}"] for name, t in times.items()]
    return "## Cost of a step\n\n" + table(["model", "ms, median, one thread", "in steps of pix2pix"], rows)


def _rates(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        scores = record.scores["val s1+lulc+dem"]
        rows.append(
            [record.options["model"], f"{record.options['lr']:g}", str(record.options["steps"]),
             *(f"{read(scores):.{digits}f}" for _, digits, read in MEASURES.values())]
        )  # fmt: skip
    titles = [title for title, _, _ in MEASURES.values()]
    return "## Learning rates (val split, one seed, a third of the budget)\n\n" + table(
        ["model", "rate", "steps", *titles], rows
    )


def _group(title: str, group: Mapping[str, Sequence[Record]]) -> str:
    rows = []
    for name, records in group.items():
        first = records[0]
        cells = [spread(values(records, m), digits) for m, (_, digits, _) in MEASURES.items()]
        rows.append([name, str(first.options["steps"]), f"{first.parameters / 1e6:.2f} M", *cells, str(len(records))])
    titles = [title for title, _, _ in MEASURES.values()]
    text = f"## {title} (test split, mean ± standard deviation over seeds)\n\n"
    text += table(["model", "steps", "parameters", *titles, "seeds"], rows)
    names = list(group)
    against = []
    for rival in names[1:]:
        found = [
            difference(
                paired_difference(values(group[names[0]], m), values(group[rival], m)),
                digits + (m == "psnr"),
            )
            for m, (_, digits, _) in MEASURES.items()
        ]
        ratios = [_ratio(group[names[0]], group[rival], m) for m in ("ssim", "sam")]
        against.append([f"{names[0]} − {rival}", *found, *ratios])
    text += "\nDifferences, paired by seed, with 95 % interval, and ratios of what is missing:\n\n"
    return text + table(["", *titles, "1−SSIM, ratio", "SAM, ratio"], against)


def _ratio(first: Sequence[Record], second: Sequence[Record], measure: str) -> str:
    """How much of the second's error the first has left."""
    one, two = values(first, measure), values(second, measure)
    if measure == "ssim":
        one, two = [1 - v for v in one], [1 - v for v in two]
    return f"{sum(one) / sum(two):.3f}"
