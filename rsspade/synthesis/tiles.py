"""Where the tiles of a scene lie.

Tiles overlap, so that what a network makes of a tile's border never has to be used. Their upper-left corners are
multiples of a network's coarsest pixel: its down-sampling then meets the same pixels of the scene in every tile,
which is half of what makes seams invisible; the other half is the window in `blending`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rsspade.errors import InputError, explain

__all__ = ["SMALLEST_TILE", "Tile", "TilePlan", "check_tiling", "plan_tiles"]

SMALLEST_TILE = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of pixels, counted from the upper-left corner of the scene; it may reach beyond the scene's end."""

    row: int
    column: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TilePlan:
    """The tiles of a scene, all of one size: every combination of `rows` and `columns`.

    Attributes:
        height: Of the scene.
        width: Of the scene.
        tile_height: The side of a tile, or the scene's height where that is less.
        tile_width: The same across.
        overlap: Pixels that two neighbours share at least.
        rows: First rows, ascending.
        columns: First columns, ascending.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int
    overlap: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def tiles_from(self, row: int) -> Iterator[Tile]:
        """The tiles that begin in a row, from west to east."""
        for column in self.columns:
            yield Tile(row, column, self.tile_height, self.tile_width)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows) * len(self.columns)


def check_tiling(tile: int, overlap: int) -> None:
    """Refuse what cannot tile a scene."""
    if tile < SMALLEST_TILE:
        raise InputError(
            explain("--tile", expected=f"at least {SMALLEST_TILE} pixels", found=str(tile), fix="Choose a larger tile.")
        )
    if not 0 <= overlap < tile:
        raise InputError(
            explain("--overlap", expected=f"0 to {tile - 1} pixels, less than --tile {tile}", found=str(overlap),
                    fix="Choose a quarter of the tile.")
        )  # fmt: skip


def plan_tiles(
    height: int, width: int, *, tile: int, overlap: int, multiple: int = 1, shift: tuple[int, int] = (0, 0)
) -> TilePlan:
    """Cover a scene with tiles that share `overlap` pixels with their neighbours, at its end perhaps more.

    Args:
        height: Of the scene.
        width: Of the scene.
        tile: Side of a tile.
        overlap: Pixels that neighbours share: the step is `tile - overlap`, rounded down to `multiple`.
        multiple: Of what first rows and columns are multiples: a network's coarsest pixel.
        shift: Moves all but the outermost tiles, by rows and columns (a whole step is none);
            to see whether an image depends on the tiles.
    """
    check_tiling(tile, overlap)
    while multiple > tile - overlap:
        multiple //= 2  # a very deep network in small tiles: as aligned as the step allows
    step = (tile - overlap) // multiple * multiple
    rows, columns = (
        _starts(length, tile, step, multiple, first) for length, first in zip((height, width), shift, strict=True)
    )
    return TilePlan(
        height=height, width=width, tile_height=min(tile, height), tile_width=min(tile, width), overlap=tile - step,
        rows=rows, columns=columns,
    )  # fmt: skip


def _starts(length: int, tile: int, step: int, multiple: int, first: int) -> tuple[int, ...]:
    """First pixels of tiles along an axis; the last one ends with the axis, or less than `multiple` behind it."""
    if length <= tile:
        return (0,)
    last = -(-(length - tile) // multiple) * multiple
    return tuple(sorted({0, last, *range(first % step or step, last, step)}))
