"""Which cells the comparison of sources consists of."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.cells.cell import Cell, Question, World
from rsspade.sources import CONDITIONS

__all__ = ["PRESETS", "SUBSETS", "Preset", "alone", "one_for_all", "questions"]

SUBSETS: tuple[tuple[str, ...], ...] = tuple(
    subset for count in (1, 2, 3) for subset in itertools.combinations(CONDITIONS, count)
)
"""All seven, single sources first."""

MODEL: Mapping[str, Any] = {
    "model": "rs_spade",
    "loss.adversarial": 0.0,
    "batch_size": 4,
    "lr": 4e-3,
    "generator.variety_width": 0,
    "optimizer.warmup": 100,
}
"""As in table1_generators, whose cells with all sources are thereby shared."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of the comparison.

    Attributes:
        world: Its data.
        fresh: Another world, whose train split is scored too: no model has seen any of it, and it has more scenes than the
            test split of the first.
        steps: N of a model for one subset; the one for all subsets gets three times as many.
        seeds: Of weights and order.
        smaller: Options that make the network smaller, for the toy.
    """

    world: World
    fresh: World
    steps: int
    seeds: tuple[int, ...]
    smaller: Mapping[str, Any]


PRESETS: Mapping[str, Preset] = {
    "toy": Preset(
        world=World(scenes=3, tile_size=64, scene_size=128), fresh=World(scenes=3, tile_size=64, scene_size=128, seed=1000),
        steps=4, seeds=(100, 101),
        smaller={"generator.base_width": 4, "generator.depth": 3, "batch_size": 2, "optimizer.warmup": 0},
    ),
    "cpu": Preset(
        world=World(scenes=96), fresh=World(scenes=48, seed=1000), steps=2000, seeds=(100, 101, 102), smaller={},
    ),
    "gpu": Preset(
        world=World(scenes=48, tile_size=256, scene_size=1024), fresh=World(scenes=24, tile_size=256, scene_size=1024, seed=1000),
        steps=6000, seeds=(100, 101, 102), smaller={"batch_size": 16},
    ),
}  # fmt: skip


def questions(preset: Preset, subset: tuple[str, ...]) -> tuple[Question, Question]:
    """What a model is asked of a subset: the test split, and the fresh world."""
    return Question("test", subset), Question("train", subset, preset.fresh)


def alone(preset: Preset, sources: tuple[str, ...]) -> Cell:
    """A model for one subset, still without a seed."""
    options = {**MODEL, **preset.smaller, "source_dropout": 0.0, "steps": preset.steps}
    if sources != CONDITIONS:
        options["sources"] = ",".join(sources).split(",")
    return Cell(preset.world, options)


def one_for_all(preset: Preset, norm: str = "group") -> Cell:
    """One model that loses sources at random in training, still without a seed.

    With group norms, samples that lack different sources do not move each other's features, as they do in the statistics
    of a batch.
    """
    options = {**MODEL, **preset.smaller, "source_dropout": SOURCE_DROPOUT, "steps": 3 * preset.steps}
    if norm != "batch":  # a default is not named, so that cells made before there was a choice are found again
        options["generator.norm"] = norm
    return Cell(preset.world, options)


SOURCE_DROPOUT = 0.4
"""Of the model for all subsets. With 0.25, the default of `train_gan.py`, a source is seen alone in one sample of twenty, and
subsets without land cover end about 0.5 dB below models of their own (README)."""
