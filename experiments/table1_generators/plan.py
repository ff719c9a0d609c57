"""Which cells the comparison consists of: models, rates, seeds, sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.cells.cell import Cell, Question, World

__all__ = ["MODELS", "PRESETS", "RIMMED", "TEST", "VAL", "Preset", "models"]

VAL = Question("val")
"""Chooses rates, which was done before edges were repeated."""
TEST = Question("test", edges="repeat")
RIMMED = Question("test")
"""The same with zeros beyond the edges, to say what repeating them is worth."""

MODELS: Mapping[str, Mapping[str, Any]] = {
    "rs_spade": {"model": "rs_spade"},
    "pix2pix": {"model": "pix2pix"},
    "control": {"model": "control"},
    # At the published width a step takes as long as dozens of pix2pix; this is the width at which it does best per second.
    "spade": {"model": "spade", "generator.base_width": 8, "generator.hidden_width": 32},
}
"""What is compared; everything that is not named is the default of `train_gan.py`."""

SHARED: Mapping[str, Any] = {
    "loss.adversarial": 0.0,
    "source_dropout": 0.0,
    "batch_size": 4,
    "generator.variety_width": 0,
    "optimizer.warmup": 100,
}
"""The same losses, warm-up and all sources for all; no adversarial loss, which has a part of its own, and no head for draws."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of the comparison.

    Attributes:
        world: Its data.
        seconds: T, the cost of a training: steps times the step time measured beside the other models.
        steps: N, of a training at equal steps.
        rates: Learning rates of the first round.
        widen: Whether the grid grows until the best is inside.
        seeds: Fresh ones, of the confirmation.
        smaller: Options that make every network smaller, for the toy.
    """

    world: World
    seconds: float
    steps: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    smaller: Mapping[str, Any]
    widen: bool = True


PRESETS: Mapping[str, Preset] = {
    "toy": Preset(
        world=World(scenes=3, tile_size=64, scene_size=128), seconds=0.6, steps=6, rates=(4e-3, 8e-3), seeds=(100, 101), widen=False,
        smaller={"generator.base_width": 4, "generator.depth": 3, "batch_size": 2, "optimizer.warmup": 0},
    ),
    "cpu": Preset(
        world=World(scenes=96), seconds=300.0, steps=2000, rates=(2e-3, 4e-3, 8e-3), seeds=tuple(range(100, 108)),
        smaller={},
    ),
    "gpu": Preset(
        world=World(scenes=48, tile_size=256, scene_size=1024), seconds=60.0, steps=6000, rates=(5e-4, 1e-3, 2e-3),
        seeds=(100, 101, 102), smaller={"batch_size": 16},
    ),
}  # fmt: skip


def models(preset: Preset) -> dict[str, Cell]:
    """A cell of each model, still without rate, seed and steps."""
    return {name: Cell(preset.world, {**SHARED, **own, **preset.smaller}) for name, own in MODELS.items()}
