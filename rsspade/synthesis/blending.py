"""From overlapping tiles to one seamless raster, a row of tiles at a time.

Shape letters: K planes, h w pixels of a tile, H W pixels of the scene.

The weights along each axis are normalised to a sum of 1 at every pixel, and a tile's weight is the product of two of
them: a partition of unity by construction, whatever the tiles do at the scene's end. In memory are the planes of one
row of tiles and nothing else; rows of pixels that no later tile touches are handed on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rsspade.synthesis.tiles import Tile, TilePlan

__all__ = ["Strip", "axis_weights", "blend_tiles"]

_UNUSED = 0.25
"""Share of the overlap, at the border of a tile, that weighs nothing: there a network sees its own padding."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Finished rows of the scene: `values` (K, rows, W) from row `row` on."""

    row: int
    values: np.ndarray


def axis_weights(length: int, starts: tuple[int, ...], tile: int, overlap: int) -> np.ndarray:
    """The weights of all tiles along one axis: (tiles, tile) float64, 1 in sum at each pixel of the axis.

    A raised cosine over the overlap, zero in the outermost quarter of it; flat at the ends of the scene.
    """
    ramp = min(overlap, tile // 2)
    unused = ramp * _UNUSED
    inside = np.arange(tile) + 0.5
    rising = np.ones(tile)
    if ramp:
        rising = np.sin(np.pi / 2 * np.clip((inside - unused) / (ramp - 2 * unused), 0, 1)) ** 2
    weights = np.ones((len(starts), tile))
    total = np.zeros(max(length, starts[-1] + tile))
    for weight, start in zip(weights, starts, strict=True):
        if start > 0:
            weight *= rising
        if start + tile < length:
            weight *= rising[::-1]
        total[start : start + tile] += weight
    for weight, start in zip(weights, starts, strict=True):
        weight /= total[start : start + tile]
    return weights


def blend_tiles(
    plan: TilePlan, predict: Callable[[Tile], np.ndarray | None], planes: int, *, first_row: int = 0
) -> Iterator[Strip]:
    """Blend what `predict` makes of each tile; yields finished rows from north to south.

    Args:
        plan: The tiles.
        predict: Tile -> (K, h, w) finite numbers such as reflectance or probabilities, None where there is nothing
            to predict. It is asked from west to east, then from north to south.
        planes: K.
        first_row: The first row that is still missing, as an earlier call left it. The tiles above that reach into
            it are made again; the values are the same as in one go.

    Yields:
        Strips that follow each other without a gap, from `first_row` to the end; 0 where no tile predicted anything.
    """
    down = axis_weights(plan.height, plan.rows, plan.tile_height, plan.overlap).astype(np.float32)
    across = axis_weights(plan.width, plan.columns, plan.tile_width, plan.overlap).astype(np.float32)
    total = np.zeros((planes, plan.tile_height, plan.columns[-1] + plan.tile_width), np.float32)
    ends = (*plan.rows[1:], plan.height)
    for row, end, vertical in zip(plan.rows, ends, down, strict=True):
        if row + plan.tile_height <= first_row:
            continue
        for tile, horizontal in zip(plan.tiles_from(row), across, strict=True):
            values = predict(tile)
            if values is not None:
                target = total[:, :, tile.column : tile.column + tile.width]
                target += values * (vertical[:, None] * horizontal)
        done = end - row
        if row >= first_row:
            yield Strip(row, total[:, :done, : plan.width].copy())
        total[:, : plan.tile_height - done] = total[:, done:].copy()
        total[:, plan.tile_height - done :] = 0
