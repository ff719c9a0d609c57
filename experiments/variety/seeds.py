"""The default generator with its head, with several seeds: do its draws keep what is asked of them?"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator

from experiments.cells.cell import Cell, Question, Record, World
from experiments.cells.runner import Workshop
from experiments.cells.tables import spread, table
from experiments.variety.arms import SAMPLES
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, explain
from rsspade.evaluation import evaluate
from rsspade.models import RSSpade

__all__ = ["CRITERIA", "Criterion", "cells", "criteria_table", "draw_scores"]

SPLITS = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What is asked of a score.

    Attributes:
        name: As the table has it.
        least: The bar.
        most: The bar above.
        digits: Shown.
    """

    name: str
    least: float
    most: float = math.inf
    digits: int = 2

    def holds(self, value: float | None) -> bool:
        """Whether a score keeps it."""
        return value is not None and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.name}, ≥ {self.least:g}" + ("" if math.isinf(self.most) else f" and ≤ {self.most:g}")


CRITERIA: Mapping[str, Criterion] = {
    "mean": Criterion(name="mean of the draws, dB more than the deterministic image", least=-0.2),
    "one": Criterion(name="a single draw, dB more", least=-3.0),
    "spread_rmse_ratio": Criterion(name="spread over error", least=0.5, most=1.2),
    "rank_correlation": Criterion(name="rank correlation of spread and error", least=0.3, digits=3),
}


def cells(world: World, steps: int, seeds: Sequence[int], smaller: Mapping[str, Any]) -> list[Cell]:
    """The default generator with its head, without an adversarial loss."""
    options = {"loss.adversarial": 0.0, "lr": 0.002, "steps": steps, **smaller}
    return [Cell(world, options).with_(seed=seed) for seed in seeds]


def draw_scores(workshop: Workshop, trained: Sequence[Cell]) -> tuple[list[Record], list[dict[str, Any]]]:
    """Train what is not there, score its draws: the cells' records, and a row for each of them and each split."""
    records = workshop.run(trained, [Question("test")])
    rows = [
        {**_scores(workshop, cell, split), "seed": cell.options["seed"], "split": split}
        for split in SPLITS
        for cell in trained
    ]
    return records, rows


def _scores(workshop: Workshop, cell: Cell, split: str) -> dict[str, float | None]:
    """Of the draws for a split; kept beside the weights."""
    kept = workshop.folder(cell) / f"draws_{split}.json"
    if not kept.is_file():
        weights, data = workshop.weights(cell), DatasetFolder.open(workshop.dataset(cell.world))
        if not weights.is_dir():
            raise InputError(
                explain(weights, expected="trained weights, to draw with", found="a record without them",
                        fix="Train here: leave out --reuse.")
            )  # fmt: skip
        model = RSSpade.from_pretrained(weights)
        accelerator = Accelerator(cpu=True)
        summary = evaluate(model, data, accelerator, split=split, with_baselines=False, samples=SAMPLES).summary
        found = {**summary["variety"], "psnr": summary["psnr"]}
        found |= {name: found[f"psnr_of_{name}"] - found["psnr"] for name in ("mean", "one")}
        write_bytes_atomically(kept, json.dumps(found, indent=1).encode())
    scores: dict[str, float | None] = json.loads(kept.read_text(encoding="utf-8"))
    return scores


def criteria_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each criterion: mean and deviation over seeds on each split, and how many of the seeds keep it on both."""
    seeds = sorted({row["seed"] for row in rows})
    lines = []
    for key, criterion in CRITERIA.items():
        shown = [
            spread(
                [math.nan if row[key] is None else row[key] for row in rows if row["split"] == split], criterion.digits
            )
            for split in SPLITS
        ]
        kept = sum(all(criterion.holds(row[key]) for row in rows if row["seed"] == seed) for seed in seeds)
        lines.append([str(criterion), *shown, f"{kept} of {len(seeds)}"])
    return table(["criterion", *SPLITS, "seeds that keep it on both"], lines)
