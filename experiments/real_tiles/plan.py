"""Which cells the question consists of. Nothing here was chosen by a score of a generator on a real tile."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from experiments.cells.cell import Cell, Question
from experiments.cells.tiles import SIDES, Design, Tiles
from experiments.table1_generators.plan import PRESETS as TABLE1
from experiments.table1_generators.plan import Preset as Table1Preset
from experiments.table1_generators.plan import models
from rsspade.sources import CONDITIONS

__all__ = [
    "CLASS_MEAN",
    "COMPARISONS",
    "DESIGNS",
    "PRESETS",
    "RATES",
    "Preset",
    "arms",
    "class_mean",
    "folds",
    "question",
]

RATES: Mapping[str, float] = {"rs_spade": 4e-3, "pix2pix": 2e-3}
"""Each model's own, as found on the built-in world; for the world's training and for the real tiles alike."""

DESIGNS: tuple[Design, ...] = get_args(Design)
TUNED, CLASS_MEAN = " from the world", "class mean"

COMPARISONS: tuple[tuple[str, str], ...] = (
    ("rs_spade", "pix2pix"),
    ("rs_spade" + TUNED, "pix2pix" + TUNED),
    ("rs_spade", CLASS_MEAN),
    ("rs_spade" + TUNED, CLASS_MEAN),
    ("rs_spade" + TUNED, "rs_spade"),
    ("pix2pix" + TUNED, "pix2pix"),
)
"""What is held against what, first minus second."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of the question.

    Attributes:
        world: Models and data of the trainings on the built-in world, shared with table1_generators.
        world_steps: Of these.
        steps: Of a training on real tiles.
        seeds: Of weights and order; a seed of one arm sees the crops in the order of the same seed of another.
        crop: Side of the training crops.
        block: Side of the blocks that are scored.
        gap: The least distance between training and test in one tile; what the tile has to spare comes on top.
    """

    world: Table1Preset
    world_steps: int
    steps: int
    seeds: tuple[int, ...]
    crop: int = 128
    block: int = 56
    gap: int = 32


PRESETS: Mapping[str, Preset] = {
    "toy": Preset(world=TABLE1["toy"], world_steps=6, steps=6, seeds=(100, 101, 102), crop=64, block=32, gap=16),
    "cpu": Preset(world=TABLE1["cpu"], world_steps=2000, steps=400, seeds=(100, 101, 102)),
    "gpu": Preset(world=TABLE1["gpu"], world_steps=6000, steps=400, seeds=tuple(range(100, 108))),
}


def folds(preset: Preset, design: Design, content: str, tiles: Sequence[str]) -> list[Tiles]:
    """The training areas of each fold."""
    names = tiles if design == "leave_out" else SIDES
    return [Tiles(content, design, name, preset.crop, preset.block) for name in names]


def arms(preset: Preset, fold: Tiles, seed: int, sources: tuple[str, ...]) -> dict[str, Cell]:
    """The generators of a fold and seed."""
    found = {}
    for model, rate in RATES.items():
        world = models(preset.world)[model].with_(lr=rate, steps=preset.world_steps, seed=seed)
        if sources != CONDITIONS:
            world = world.with_(sources=list(sources))
        real: dict[str, Any] = {**world.options, "steps": preset.steps, "loader.crop_size": preset.crop}
        found[model] = Cell(fold, real)
        found[model + TUNED] = dataclasses.replace(found[model], begins_with=world)
    return found


def class_mean(fold: Tiles) -> Cell:
    """Of the training areas of a fold."""
    return Cell(fold, {"answer": "class_mean"}, "answer")


def question(fold: Tiles, sources: tuple[str, ...]) -> Question:
    """What all of a fold are asked."""
    return Question("test", sources, fold.test, by_tile=True)
