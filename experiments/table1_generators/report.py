"""`RESULTS.md` of the comparison: tables with their spread, the paper's beside them, and the differences that seeds can tell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Question, Record
from experiments.cells.machine import origin
from experiments.cells.statistics import paired_difference
from experiments.cells.tables import difference, spread, table
from experiments.table1_generators.plan import RIMMED, TEST, VAL

__all__ = ["write_report"]

MEASURES: Mapping[str, tuple[str, str, int]] = {
    "psnr": ("PSNR (dB)", "psnr", 2), "ssim": ("SSIM", "ssim", 4), "sam": ("SAM (rad)", "sam_rad", 4),
}  # fmt: skip
"""Measure -> title, key in a record, digits."""
TITLES = {
    "cost": "Equal cost",
    "steps": "Equal steps",
    "spade": "Equal steps, spade",
    "adversarial": "With and without the adversarial loss, equal steps",
}
PAPER: Mapping[str, tuple[float, float, float]] = {"RS-SPADE": (23.14, 0.84, 0.19), "Pix2pix": (18.84, 0.62, 0.23)}
"""Table 1 of the RS-SPADE paper: PSNR, SSIM, SAM."""
PAPER_DATA = (
    "Its numbers are of its authors' own data (15 000 pairs of Sentinel-2, Sentinel-1, Dynamic World and Copernicus DEM), one "
    "training each: only the difference of its two rows can be held against ours."
)
Groups = Mapping[str, Mapping[str, Sequence[Record]]]


def values(records: Sequence[Record], measure: str, question: Question = TEST) -> list[float]:
    """A measure of each record."""
    return [float(record.scores[str(question)][MEASURES[measure][1]]) for record in records]


def write_report(
    path: Path,
    conclusions: Mapping[str, Any],
    rates: Sequence[Record],
    groups: Groups,
    answers: Mapping[str, Record],
    *,
    figure: bool,
) -> None:
    """Write the tables.

    Args:
        path: Of the file.
        conclusions: What `results.json` says beside the cells.
        rates: The cells of the search for learning rates.
        groups: Part -> arm -> its cells.
        answers: The class-mean image and the oracle.
        figure: Whether there is one.
    """
    (first,) = {record.world["scenes"] for record in answers.values()}
    head = (
        f"<!-- made by python -m experiments.table1_generators --preset {conclusions['preset']} -->\n\n"
        f"Built-in world of {first} scenes, preset `{conclusions['preset']}`, {origin(conclusions)}. "
        "Mean ± standard deviation over seeds.\n"
    )
    parts = [head, *(_group(TITLES[name], group, answers) for name, group in groups.items() if group)]
    parts += [
        _edges(groups.get("cost", {})),
        _classes(groups.get("cost", {})),
        _paper(groups),
        _costs(conclusions, groups),
        _rates(rates),
    ]
    parts += ["## The same tiles\n\n![test tiles, as each model paints them](tiles.png)\n"] if figure else []
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    print(f"Wrote {path}")


def _group(title: str, group: Mapping[str, Sequence[Record]], answers: Mapping[str, Record]) -> str:
    ends = [values([answers[name]], "psnr")[0] for name in ("class_mean", "oracle")]
    rows = [["*class-mean image*", "–", "–", *_scores([answers["class_mean"]]), "0 %", "–"]]
    for name, records in group.items():
        way = (sum(values(records, "psnr")) / len(records) - ends[0]) / (ends[1] - ends[0])
        rows.append(
            [name, str(records[0].options["steps"]), _millions(records[0]), *_scores(records), f"{way:.0%}".replace("%", " %"),
             str(len(records))]
        )  # fmt: skip
    rows.append(["*oracle*", "–", "–", *_scores([answers["oracle"]]), "100 %", "–"])
    head = ["model", "steps", "parameters", *(m[0] for m in MEASURES.values()), "of the way, PSNR", "seeds"]
    return f"## {title} (test split)\n\n" + table(head, rows) + "\n" + _differences(group)


def _scores(records: Sequence[Record]) -> list[str]:
    return [spread(values(records, name), digits) for name, (_, _, digits) in MEASURES.items()]


def _millions(record: Record) -> str:
    return f"{record.parameters / 1e6:.2f} M"


def _differences(group: Mapping[str, Sequence[Record]]) -> str:
    first, *rivals = group
    rows = []
    for rival in rivals:
        found = [
            difference(paired_difference(values(group[first], name), values(group[rival], name)), digits + (name == "psnr"))
            for name, (_, _, digits) in MEASURES.items()
        ]  # fmt: skip
        ratios = [_ratio(group[first], group[rival], name) for name in ("ssim", "sam")]
        rows.append([f"{first} − {rival}", *found, *ratios])
    text = "Differences, paired by seed, with 95 % interval, and ratios of what is missing:\n\n"
    return text + table(["", *(m[0] for m in MEASURES.values()), "1−SSIM, ratio", "SAM, ratio"], rows)


def _ratio(first: Sequence[Record], second: Sequence[Record], measure: str) -> str:
    """How much of the second's error the first has left."""
    one, two = values(first, measure), values(second, measure)
    if measure == "ssim":
        one, two = [1 - v for v in one], [1 - v for v in two]
    return f"{sum(one) / sum(two):.3f}"


def _edges(group: Mapping[str, Sequence[Record]]) -> str:
    """What repeating the edges is worth, with the same weights."""
    rows = [
        [name, *(
            difference(paired_difference(values(records, measure), values(records, measure, RIMMED)), digits + (measure == "psnr"))
            for measure, (_, _, digits) in MEASURES.items()
        )]
        for name, records in group.items()
    ]  # fmt: skip
    text = "The same weights with the outermost pixels repeated beyond the tile, as everywhere else here, minus with zeros there:\n\n"
    return "## Equal cost, edges\n\n" + text + table(["", *(m[0] for m in MEASURES.values())], rows) if rows else ""


def _classes(group: Mapping[str, Sequence[Record]]) -> str:
    """Where the first model's lead lies: PSNR over the pixels of each land-cover class."""
    if not group:
        return ""
    question = str(TEST)
    psnr = {
        arm: {name: [r.scores[question]["per_class"][name]["psnr"] for r in records] for name in _class_names(records)}
        for arm, records in group.items()
    }
    first, *rivals = group
    pixels = {name: entry["pixels"] for name, entry in group[first][0].scores[question]["per_class"].items()}
    rows = [
        [name.replace("_", " "), f"{pixels[name] / sum(pixels.values()):.1%}".replace("%", " %"), spread(psnr[first][name], 2),
         *(difference(paired_difference(psnr[first][name], psnr[rival][name]), 2) for rival in rivals)]
        for name in sorted(psnr[first], key=lambda name: -pixels[name])
    ]  # fmt: skip
    text = "PSNR (dB), paired by seed, with 95 % interval; of so many intervals some leave out zero by chance.\n\n"
    head = ["class", "share of the pixels", first, *(f"{first} − {rival}" for rival in rivals)]
    return "## Equal cost, by land-cover class\n\n" + text + table(head, rows)


def _class_names(records: Sequence[Record]) -> list[str]:
    """Of the classes that the scored tiles hold."""
    return [name for name, own in records[0].scores[str(TEST)]["per_class"].items() if own["psnr"] is not None]


def _paper(groups: Groups) -> str:
    """The paper's Table 1, and its difference beside ours."""
    rows = [[name, *(f"{value:.2f}" for value in found), "the paper's"] for name, found in PAPER.items()]
    own = [a - b for a, b in zip(*PAPER.values(), strict=True)]
    rows.append(["RS-SPADE − Pix2pix", *(f"{value:+.2f}" for value in own), "the paper's"])
    for part in ("cost", "steps"):
        group = groups.get(part, {})
        if {"rs_spade", "pix2pix"} <= group.keys():
            found = [
                difference(paired_difference(values(group["rs_spade"], name), values(group["pix2pix"], name)), digits)
                for name, (_, _, digits) in MEASURES.items()
            ]
            rows.append(["rs_spade − pix2pix", *found, f"built-in world, {TITLES[part].lower()}"])
    head = ["", *(title for title, _, _ in MEASURES.values()), "data"]
    return "## Beside the paper's Table 1\n\n" + PAPER_DATA + "\n\n" + table(head, rows)


def _costs(conclusions: Mapping[str, Any], groups: Groups) -> str:
    """Parameters, times and memory; in brackets, times those of pix2pix."""
    times, costs = conclusions["step_times"], conclusions["image_costs"]
    made = {name: records[0] for group in groups.values() for name, records in group.items()}
    rows = []
    for name, own in costs.items():
        base, size = costs["pix2pix"], f"{conclusions['tile_size']} px"
        rows.append(
            [name, _millions(made[name]) if name in made else "–", f"{1e3 * times[name]:.0f} ({times[name] / times['pix2pix']:.2f})",
             f"{1e3 * own['seconds']:.1f} ({own['seconds'] / base['seconds']:.2f})", f"{own['training_megabytes']:.0f}",
             f"{own['megabytes']:.0f}"]
        )  # fmt: skip
    text = (
        f"By turns in one process, one thread, on {conclusions['device']}, medians; in brackets, times pix2pix, which is what another machine can be held "
        "against. Memory is what training or making an image takes beyond Python, its libraries and the data.\n\n"
    )
    head = ["model", "parameters", "ms per training step", f"ms per image of {size}", "MB, training", "MB, an image"]
    return "## Cost\n\n" + text + table(head, rows)


def _rates(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        own = (f"{values([record], name, VAL)[0]:.{digits}f}" for name, (_, _, digits) in MEASURES.items())
        rows.append([record.options["model"], f"{record.options['lr']:g}", str(record.options["steps"]), *own])
    head = ["model", "rate", "steps", *(title for title, _, _ in MEASURES.values())]
    return "## Learning rates (val split, one seed, a third of the budget)\n\n" + table(head, rows)
