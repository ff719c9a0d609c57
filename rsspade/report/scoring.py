"""The numbers of a report: a run on the test split, from all its sources and from every subset of them."""

import itertools
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator

from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import TileDataset
from rsspade.evaluation import evaluate
from rsspade.models import RSSpade
from rsspade.progress import progress_bar
from rsspade.sources import CONDITIONS

__all__ = ["RunScores", "score_run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunScores:
    """All numbers of one run.

    Attributes:
        summary: As `evaluate` gives it, from all sources, baselines included.
        per_tile: A row per tile.
        subsets: Sources -> the summary from these alone; the first holds all of them.
    """

    summary: dict[str, Any]
    per_tile: list[dict[str, Any]]
    subsets: dict[tuple[str, ...], dict[str, Any]]


def score_run(model: RSSpade, dataset: DatasetFolder, *, split: str = "test") -> RunScores:
    """Score a model under every subset of its sources that the dataset holds."""
    accelerator = Accelerator()
    # What the split lacks is not asked for: a model of three sources can be looked at on tiles of two.
    held = [n for n in CONDITIONS if n in model.info.sources and dataset.source(n).folder in dataset.info.sources]
    tiles = TileDataset(dataset, split=split, sources=held or model.info.sources, random_crops=False)
    known = [n for n in held if tiles.holding([n]).any()]
    subsets = [s for size in range(len(known), 0, -1) for s in itertools.combinations(known, size)] or [
        model.info.sources
    ]
    with progress_bar(total=len(subsets), title="subsets of the sources", unit="subset") as bar:
        whole = evaluate(model, dataset, accelerator, split=split, sources=subsets[0])
        found = {subsets[0]: whole.summary}
        bar.update()
        for chosen in subsets[1:]:
            scores = evaluate(model, dataset, accelerator, split=split, sources=chosen, with_baselines=False)
            found[chosen] = scores.summary
            bar.update()
    return RunScores(summary=whole.summary, per_tile=whole.per_tile, subsets=found)
