"""Whether an image shows the tiles it was made of: the same scene from four tile grids, half a tile apart."""

from itertools import combinations, product
from typing import Any

import numpy as np

from rsspade.models import RSSpade
from rsspade.synthesis.blending import blend_tiles
from rsspade.synthesis.scene import SceneOptions, tile_predictor
from rsspade.synthesis.scene_inputs import SceneInputs
from rsspade.synthesis.tiles import TilePlan, plan_tiles

GRADIENT_LIMIT, MEAN_LIMIT, TAIL_LIMIT = 0.05, 0.003, 0.03


def measure_seams(model: RSSpade, inputs: SceneInputs, options: SceneOptions) -> dict[str, Any]:
    """Paint a scene from four tile grids and compare.

    Returns:
        `gradient`: the largest relative difference, over grids and axes, between the mean gradient across a grid's
        tile borders and that of the same places in the grid that lies half a tile off in both directions;
        `mean` and `tail`: the largest mean and 99.9th percentile of the absolute difference of two grids; and `passes`.
    """
    half = options.tile // 2
    plans = {shift: _plan(model, inputs, options, shift) for shift in product((0, half), (0, half))}
    images = {shift: paint(model, inputs, options, plan) for shift, plan in plans.items()}
    gradients, pairs = {}, {}
    for shift, plan in plans.items():
        other = images[half - shift[0], half - shift[1]]
        for axis, starts, side in ((-2, plan.rows, plan.tile_height), (-1, plan.columns, plan.tile_width)):
            own, elsewhere = (
                _gradient(image, axis, _borders(starts, side, image.shape[axis])) for image in (images[shift], other)
            )
            gradients[f"{shift} {'rows' if axis == -2 else 'columns'}"] = own / elsewhere - 1
    for one, two in combinations(images, 2):
        difference = np.abs(images[one] - images[two])
        pairs[f"{one} {two}"] = (float(difference.mean()), float(np.quantile(difference, 0.999)))
    worst = max(map(abs, gradients.values()))
    mean, tail = (max(found[n] for found in pairs.values()) for n in (0, 1))
    return {
        "size": [inputs.grid.height, inputs.grid.width], "tile": options.tile, "overlap": options.overlap,
        "samples": options.samples, "gradient": worst, "mean": mean, "tail": tail,
        "passes": worst <= GRADIENT_LIMIT and mean <= MEAN_LIMIT and tail <= TAIL_LIMIT,
        "gradients": gradients, "pairs": pairs,
    }  # fmt: skip


def _plan(model: RSSpade, inputs: SceneInputs, options: SceneOptions, shift: tuple[int, int]) -> TilePlan:
    return plan_tiles(
        inputs.grid.height, inputs.grid.width, tile=options.tile, overlap=options.overlap,
        multiple=2**model.info.architecture.depth, shift=shift,
    )  # fmt: skip


def paint(model: RSSpade, inputs: SceneInputs, options: SceneOptions, plan: TilePlan) -> np.ndarray:
    """A whole scene (C, H, W), in memory: its reflectance, or with `with_spread` the spread of its draws."""
    bands = len(model.info.architecture.optical_bands)
    planes = bands * (2 if options.with_spread else 1) + 1
    strips = [strip.values for strip in blend_tiles(plan, tile_predictor(model, inputs, options), planes)]
    return np.concatenate(strips, axis=1)[bands:-1] if options.with_spread else np.concatenate(strips, axis=1)[:bands]


def _borders(starts: tuple[int, ...], side: int, length: int) -> list[int]:
    """First pixels behind a border of a tile, inside the scene."""
    return sorted({place for start in starts for place in (start, start + side) if 0 < place < length})


def _gradient(image: np.ndarray, axis: int, places: list[int]) -> float:
    """Mean absolute step from the pixel before to the pixel behind each place."""
    behind, before = (np.take(image, [place - back for place in places], axis) for back in (0, 1))
    return float(np.abs(behind - before).mean())
