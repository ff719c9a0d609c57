"""`RESULTS.md` of the comparison of sources: every subset, the one model for all, the paper's order, the classes, the towns."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cells.cell import Question, Record
from experiments.cells.machine import origin
from experiments.cells.statistics import Difference, paired_difference
from experiments.cells.tables import difference, spread, table
from experiments.table2_sources.plan import Preset, questions
from experiments.table2_sources.towns import towns

__all__ = ["Found", "write_report"]

Subset = tuple[str, ...]
Records = Mapping[int, Record]
"""By seed."""
Own = Mapping[Subset, Records]
"""Models of their own."""


@dataclass
class Found:
    """What is finished.

    Attributes:
        own: The models of their own, by subset.
        one: The one for all.
        batch: The same with batch norms.
    """

    own: dict[Subset, dict[int, Record]] = field(default_factory=dict)
    one: dict[int, Record] = field(default_factory=dict)
    batch: dict[int, Record] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """All of them, models of their own first."""
        return [record for group in (*self.own.values(), self.one, self.batch) for record in group.values()]


PAPER: Mapping[Subset, tuple[float, float, float]] = {
    ("s1",): (18.83, 0.76, 0.25), ("lulc",): (20.77, 0.80, 0.21), ("s1", "lulc"): (21.10, 0.80, 0.22),
    ("lulc", "dem"): (21.36, 0.81, 0.21), ("s1", "dem"): (21.89, 0.82, 0.20), ("s1", "lulc", "dem"): (23.14, 0.84, 0.19),
}  # fmt: skip
"""PSNR, SSIM and SAM in Table 2 of the RS-SPADE paper, on its own data: only the order can be compared."""

LIMIT_DB = 0.5
"""How far the one model may lie below a model of its own."""


def named(subset: Subset) -> str:
    """For a table."""
    return " + ".join(subset)


def values(
    records: Records,
    subset: Subset,
    measure: str,
    seeds: Sequence[int] = (),
    question: Question | None = None,
) -> list[float]:
    """A measure of each record on a subset of the sources, on the test split where nothing else is asked, by seed."""
    asked = str(question or Question("test", subset))
    return [float(records[seed].scores[asked][measure]) for seed in seeds or sorted(records)]


def write_report(
    path: Path,
    conclusions: Mapping[str, Any],
    preset: Preset,
    found: Found,
    answers: Mapping[str, Record],
    *,
    figure: bool,
) -> None:
    """Write the tables."""
    own, one = found.own, found.one
    scenes = answers["oracle"].world["scenes"]
    head = (
        f"<!-- made by python -m experiments.table2_sources --preset {conclusions['preset']} -->\n\n"
        f"Built-in world of {scenes} scenes, preset `{conclusions['preset']}`, test split; {origin(conclusions)}. "
        "Mean ± standard deviation over seeds; differences are paired by seed, with "
        "95 % interval.\n"
    )
    parts = [head, _subsets(own, one, answers), _one_for_all(found, preset), _order(own), _classes(own), towns(own)]
    parts += ["## The same tiles\n\n![test tiles from every subset](tiles.png)\n"] if figure else []
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    print(f"Wrote {path}")


def _subsets(own: Own, one: Records, answers: Mapping[str, Record]) -> str:
    def scores(records: Records, subset: Subset) -> list[str]:
        if not records:
            return ["–"] * 3
        return [spread(values(records, subset, m), d) for m, d in (("psnr", 2), ("ssim", 4), ("sam_rad", 4))]

    whole = Question("test").sources
    ends = {name: scores({0: record}, whole) for name, record in answers.items()}
    rows = [["*class-mean image*", *ends["class_mean"], *["–"] * 3, "–"]]
    for subset in _by_psnr(own):
        rows.append([named(subset), *scores(own[subset], subset), *scores(one, subset), str(len(own[subset]))])
    rows.append(["*oracle*", *ends["oracle"], *["–"] * 3, "–"])
    steps = [
        str(next(iter(records.values())).options["steps"]) if records else "–"
        for records in (*list(own.values())[:1], one)
    ]
    head = [
        "sources", f"own model, {steps[0]} steps: PSNR", "SSIM", "SAM", f"one model, {steps[-1]} steps: PSNR", "SSIM", "SAM", "seeds",
    ]  # fmt: skip
    return "## Every subset, worst first\n\n" + table(head, rows)


def _by_psnr(own: Own) -> list[Subset]:
    return sorted(own, key=lambda subset: float(np.mean(values(own[subset], subset, "psnr"))))


def _one_for_all(found: Found, preset: Preset) -> str:
    """Whether the one model comes close enough to each, and where it stands with batch norms."""

    def gaps(one: Records, subset: Subset) -> list[Difference | None]:
        own = found.own[subset]
        seeds = sorted(own.keys() & one.keys())
        asked = questions(preset, subset)[::-1]
        pairs = [[values(records, subset, "psnr", seeds, question) for records in (one, own)] for question in asked]
        return [paired_difference(*pair) if seeds else None for pair in pairs]

    rows = []
    for subset in _by_psnr(found.own):
        group = gaps(found.one, subset)
        cells = [text for gap in group for text in ((difference(gap, 2), _close(gap)) if gap else ("–", "–"))]
        cells += [difference(gap, 2) if gap else "–" for gap in gaps(found.batch, subset)]
        if any(cell != "–" for cell in cells):
            rows.append([named(subset), *cells])
    text = (
        f"At most {LIMIT_DB} dB below the model that was trained on the subset alone? On the train split of a fresh world "
        f"({preset.fresh.name}), of which no model has seen anything, and on the test split, which has fewer scenes. The one "
        "model has group norms, those of their own have batch norms; what it would be with batch norms stands beside it.\n\n"
    )
    head = [
        "sources", "one − own (dB), fresh world", "close enough", "one − own (dB), test split", "close enough",
        "with batch norms, fresh world", "with batch norms, test split",
    ]  # fmt: skip
    return "## One model for all subsets\n\n" + text + table(head, rows) if rows else ""


def _close(gap: Difference) -> str:
    verdict = "yes" if gap.mean >= -LIMIT_DB else "no"
    sure = gap.low >= -LIMIT_DB or gap.high < -LIMIT_DB
    return verdict + ("" if sure else " on average; the interval leaves it open")


def _order(own: Own) -> str:
    """The order of PSNR beside the paper's, and the pairs that stand the other way round."""
    shared = [subset for subset in PAPER if subset in own]
    if len(shared) < 2:
        return ""
    ours = {subset: float(np.mean(values(own[subset], subset, "psnr"))) for subset in own}
    ranks = {subset: sum(ours[other] < ours[subset] for other in shared) + 1 for subset in shared}
    rows = [
        [
            named(s),
            f"{n}",
            f"{PAPER[s][0]:.2f} / {PAPER[s][1]:.2f} / {PAPER[s][2]:.2f}",
            f"{ranks[s]}",
            f"{ours[s]:.2f}",
        ]
        for n, s in enumerate(shared, start=1)
    ]
    rows += [[named(s), "–", "not in the paper", "–", f"{ours[s]:.2f}"] for s in own if s not in PAPER]
    pairs = list(itertools.combinations(shared, 2))
    leads = {pair: _lead(own, *pair) for pair in pairs}
    clear = sum(lead.high < 0 for lead in leads.values())
    swapped = {pair: lead for pair, lead in leads.items() if lead.low > 0}
    unclear = {pair: lead for pair, lead in leads.items() if not (lead.high < 0 or lead.low > 0)}
    text = (
        f"Of the {len(pairs)} pairs of subsets, {clear} stand in the paper's order by their 95 % interval. The other way "
        f"round: {_told(swapped)}. Not told apart with these seeds: {_told(unclear)}. The paper's numbers are of its own data, "
        "one training each.\n\n"
    )
    head = [
        "sources",
        "the paper's order",
        "its PSNR / SSIM / SAM",
        "ours",
        "PSNR, models of their own (built-in world)",
    ]
    return "## The order, beside the paper's Table 2\n\n" + text + table(head, rows)


def _lead(own: Own, one: Subset, other: Subset) -> Difference:
    """In PSNR, over the seeds that both have."""
    seeds = sorted(own[one].keys() & own[other].keys())
    return paired_difference(values(own[one], one, "psnr", seeds), values(own[other], other, "psnr", seeds))


def _told(leads: Mapping[tuple[Subset, Subset], Difference]) -> str:
    """The pairs and what the first has more than the second."""
    told = [f"{named(one)} against {named(other)} ({difference(lead, 2)} dB)" for (one, other), lead in leads.items()]
    return "; ".join(told) or "none"


def _classes(own: Own) -> str:
    """PSNR per land-cover class of the models of their own."""
    per_class = {
        subset: [record.scores[str(Question("test", subset))]["per_class"] for record in records.values()]
        for subset, records in own.items()
    }
    if not per_class:
        return ""
    pixels = {name: entry["pixels"] for name, entry in next(iter(per_class.values()))[0].items()}
    names = sorted(pixels, key=lambda name: -pixels[name])
    rows = [["*share of the pixels*", *(f"{pixels[name] / sum(pixels.values()):.1%}" for name in names)]]
    rows += [
        [named(subset), *(spread([scores[name]["psnr"] for scores in seeds], 2) for name in names)]
        for subset, seeds in per_class.items()
    ]
    head = ["sources", *(name.replace("_", " ") for name in names)]
    return "## PSNR by land-cover class, models of their own\n\n" + table(head, rows)
