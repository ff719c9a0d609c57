"""`RESULTS.md` of the comparison of sources."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cells.cell import Question, Record
from experiments.cells.tables import spread, table

__all__ = ["write_report"]

PAPER = {
    ("s1",): 18.83, ("lulc",): 20.77, ("s1", "lulc"): 21.10, ("lulc", "dem"): 21.36, ("s1", "dem"): 21.89,
    ("s1", "lulc", "dem"): 23.14,
}  # fmt: skip
"""PSNR in Table 2 of the RS-SPADE paper, on its own data: only the order can be compared."""

LIMIT_DB = 0.5
"""How far the one model may lie below a model of its own."""


def values(records: Sequence[Record], subset: tuple[str, ...], measure: str) -> list[float]:
    """A measure of each record on a subset of the sources."""
    question = str(Question("test", subset))
    return [float(record.scores[question][measure]) for record in records]


def write_report(
    path: Path,
    conclusions: Mapping[str, Any],
    one: Sequence[Record],
    own: Mapping[tuple[str, ...], Sequence[Record]],
) -> None:
    """Write the tables."""
    head = (
        f"<!-- made by python -m experiments.table2_sources --preset {conclusions['preset']} -->\n\n"
        f"Built-in world, {conclusions['date']}, {conclusions['machine']}, preset `{conclusions['preset']}`, "
        f"{len(one)} seeds, test split, mean ± standard deviation over seeds.\n"
    )
    path.write_text("\n".join([head, _subsets(one, own), _classes(own)]), encoding="utf-8")
    print(f"Wrote {path}")


def _subsets(one: Sequence[Record], own: Mapping[tuple[str, ...], Sequence[Record]]) -> str:
    rows = []
    order = sorted(own, key=lambda subset: float(np.mean(values(own[subset], subset, "psnr"))))
    for subset in order:
        alone, shared = own[subset], one
        gap = float(np.mean(values(shared, subset, "psnr")) - np.mean(values(alone, subset, "psnr")))
        rows.append(
            [" + ".join(subset), spread(values(alone, subset, "psnr"), 2), spread(values(alone, subset, "ssim"), 4),
             spread(values(alone, subset, "sam_rad"), 4), spread(values(shared, subset, "psnr"), 2),
             spread(values(shared, subset, "ssim"), 4), spread(values(shared, subset, "sam_rad"), 4),
             f"{gap:+.2f}" + ("" if gap >= -LIMIT_DB else f" (more than {LIMIT_DB} below)"),
             f"{PAPER[subset]:.2f}" if subset in PAPER else "–"]
        )  # fmt: skip
    steps = next(iter(own.values()))[0].options["steps"], one[0].options["steps"]
    head = [
        "sources", f"own model, {steps[0]} steps: PSNR", "SSIM", "SAM", f"one model, {steps[1]} steps: PSNR", "SSIM", "SAM",
        "one − own (dB)", "the paper's PSNR (its data)",
    ]  # fmt: skip
    return "## Every subset, worst first\n\n" + table(head, rows)


def _classes(own: Mapping[tuple[str, ...], Sequence[Record]]) -> str:
    """PSNR per land-cover class of the models of their own."""
    per_class = {subset: [r.scores[str(Question("test", subset))]["per_class"] for r in own[subset]] for subset in own}
    names = [name for name, found in next(iter(per_class.values()))[0].items() if found["pixels"]]
    rows = [
        [" + ".join(subset), *(spread([found[name]["psnr"] for found in seeds], 2) for name in names)]
        for subset, seeds in per_class.items()
    ]
    return "## PSNR by land-cover class, models of their own\n\n" + table(["sources", *names], rows)
