"""Real tiles as data for cells: split in space, since few tiles and a random split would only show what was learned by heart.

Two designs. `leave_out`: a fold trains on all tiles but one and is scored on that one. `blocks`: a fold trains on one part
of every tile and is scored on a strip of the same tiles at the other side; what lies between is seen by nobody. In both,
scores are those of square blocks. A block is painted from a window around it, which in `blocks` keeps to the strip and the
gap: no pixel of a training crop, not even of a source, is in it.
"""

import dataclasses
import hashlib
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.data.assemble import made_by
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, TileRow, split_sha256
from rsspade.data.readers import PublicReader
from rsspade.data.statistics import combine_statistics, tile_statistics
from rsspade.landcover import find_map, scheme_named

__all__ = ["SCHEME", "SIDES", "SMALLEST_WINDOW", "Design", "Tiles", "content_of", "cut_tiles", "tile_of"]

Design = Literal["leave_out", "blocks"]

SCHEME = "dynamic_world"
"""Of the land cover, whatever the tiles have: the built-in world's, whose generators are to be tried."""

SIDES = ("left", "right")
"""Where the strip that is scored lies, in the folds of `blocks`."""

SMALLEST_WINDOW = 64
"""Pixels; no model paints less."""

_SOURCES = ("s2", "s1", "lulc", "dem")


@dataclass(frozen=True, slots=True)
class Tiles:
    """A fold's training areas, or the blocks that it is scored on.

    Attributes:
        content: Hash of the files.
        design: `leave_out` or `blocks`.
        fold: The tile that is left out, or the side that is scored.
        crop: Side of the training crops; the training area of `blocks` is as wide.
        block: Side of the blocks that are scored.
        part: `train` or `test`.
    """

    content: str
    design: Design
    fold: str
    crop: int
    block: int
    part: Literal["train", "test"] = "train"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"tiles-{self.content}-{self.design}-{self.fold}-crop{self.crop}-block{self.block}-{self.part}"

    @property
    def whole(self) -> "Tiles":
        """Itself: there are no parts of it, as there are of a world."""
        return self

    @property
    def test(self) -> "Tiles":
        """What a model of this fold is scored on."""
        return dataclasses.replace(self, part="test")

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return dataclasses.asdict(self)


def content_of(reader: PublicReader) -> str:
    """A hash of the files of all tiles, by which results name data that they cannot hold."""
    digest = hashlib.sha256()
    for row in reader.rows:
        for name in reader.source_names:
            if reader.has(name, row.tile):
                with reader.tile_path(name, row.tile).open("rb") as file:
                    digest.update(f"{name}/{row.tile}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def tile_of(block: str) -> str:
    """The tile that a block lies in."""
    return block.rpartition("__")[0]


class Window(NamedTuple):
    """A piece of a tile that becomes a tile of its own.

    Attributes:
        name: Of the piece.
        rows: Of the tile.
        columns: Of the tile.
        seen: Rows and columns of the tile where its optical image is known.
    """

    name: str
    rows: slice
    columns: slice
    seen: tuple[slice, slice]


def cut_tiles(tiles: Tiles, whole: DatasetFolder, out: Path) -> None:
    """Write the training areas, or the windows of the blocks, of a fold as a dataset folder."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    rows, statistics, size = [], [], whole.info.tile_size
    for row in whole.rows:
        if tiles.design == "leave_out" and (row.tile == tiles.fold) != (tiles.part == "test"):
            continue
        for window in _windows(tiles, row.tile, size):
            made, sums = _write(partial, whole, row, window, tiles.part)
            rows.append(made)
            statistics.append(sums)
    info = dataclasses.replace(
        whole.info, name=f"{whole.info.name}, {tiles.design} {tiles.fold}, {tiles.part}", landcover_scheme=SCHEME,
        sources={folder: entry for folder, entry in whole.info.sources.items() if (partial / folder).is_dir()},
        tile_size=window.columns.stop - window.columns.start,  # training areas of `blocks` are higher than wide
        statistics=combine_statistics(statistics) if tiles.part == "train" else {},
        split={"mode": "official", "rule": f"{tiles.design}, fold {tiles.fold}", "sha256": split_sha256(rows)},
        made_by={**made_by("cut_tiles", tiles.to_json()), "parent": whole.info.made_by},
    )  # fmt: skip
    DatasetFolder.write(partial, info, rows)
    partial.rename(out)


def _windows(tiles: Tiles, tile: str, size: int) -> Iterator[Window]:
    """The pieces of one tile."""
    crop, block, leave_out = tiles.crop, tiles.block, tiles.design == "leave_out"
    left = tiles.fold == SIDES[0]
    if tiles.part == "train":
        columns = slice(0, size) if leave_out else slice(size - crop, size) if left else slice(0, crop)
        yield Window(tile, slice(0, size), columns, (slice(0, size), columns))
        return
    side = crop if leave_out else size - crop
    allowed = range(size) if leave_out else range(size - crop) if left else range(crop, size)
    starts = range(0, size - block + 1, block)
    for top, first in itertools.product(starts, starts if leave_out else (0 if left else size - block,)):
        yield Window(
            f"{tile}__{top:03d}_{first:03d}", _around(top, block, side, range(size)), _around(first, block, side, allowed),
            (slice(top, top + block), slice(first, first + block)),
        )  # fmt: skip


def _around(start: int, block: int, side: int, allowed: range) -> slice:
    """A window with the block in its middle, or as near to that as what is allowed lets it be."""
    first = min(max(start + (block - side) // 2, allowed.start), allowed.stop - side)
    return slice(first, first + side)


def _write(
    out: Path, whole: DatasetFolder, row: TileRow, window: Window, part: str
) -> tuple[TileRow, dict[str, dict[str, Any]]]:
    """One piece with all its sources; where the optical image is not to be known, it is not there."""
    pixel, scheme = whole.info.pixel_size, scheme_named(SCHEME)
    x_min, y_max = row.x_min + window.columns.start * pixel, row.y_max - window.rows.start * pixel
    landcover = find_map(whole.info.landcover_scheme, SCHEME)
    sums = {}
    for name in (name for name in _SOURCES if whole.has(name, row.tile)):
        source, values = whole.source(name), np.asarray(whole.read(name, row.tile))
        if name == "lulc" and landcover is not None:
            values = landcover.apply(values)
        if name == "s2":
            seen = np.full_like(values, np.nan)
            seen[:, *window.seen] = values[:, *window.seen]
            values = seen
        values = values[:, window.rows, window.columns]
        (out / source.folder).mkdir(parents=True, exist_ok=True)
        write_tile(
            out / source.folder / f"{window.name}.tif", values, source, crs=CRS.from_string(row.crs),
            transform=Affine(pixel, 0, x_min, 0, -pixel, y_max), colormap=scheme.colormap() if name == "lulc" else None,
        )  # fmt: skip
        sums[source.folder] = tile_statistics(values, source)
    made = dataclasses.replace(row, tile=window.name, scene=row.tile, split=part, x_min=x_min, y_max=y_max)
    return made, sums
