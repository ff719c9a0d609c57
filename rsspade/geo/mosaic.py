"""One source made of one or many files, read window by window on a wanted grid.

Files that share a pixel lattice are joined before they are resampled, so that no seam shows where they
meet. A window that lies on the very lattice of its files is copied, never resampled; otherwise positions are
transformed so exactly that a pixel does not depend on the window it was asked for in.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from rsspade.geo.elevation import ELEVATION_MARGIN, resample_elevation
from rsspade.geo.grid import Bounds, Grid
from rsspade.geo.raster import RasterFile, read_bands

__all__ = ["Kind", "Mosaic", "Part", "fitted", "outline", "read_on_grid", "source_step"]

_MARGIN = ELEVATION_MARGIN + 2  # source pixels around a window; GDAL's kernels need 2, the rest is for rotation


class Kind(StrEnum):
    """How the values of a source may be mixed."""

    OPTICAL = "optical"  # bilinear; area where pixels grow
    RADAR = "radar"  # the same, in linear power: see `sar.to_power`
    ELEVATION = "elevation"  # a smooth spline (see `elevation`); area where pixels grow
    CLASSES = "classes"  # nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A file that supplies some bands: `indexes` (1-based, in the file) become `bands` (0-based, of the source).

    `grows` says that its pixels are much smaller than the grid's: see `fitted`.
    """

    file: RasterFile
    indexes: tuple[int, ...]
    bands: tuple[int, ...]
    grows: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Mosaic:
    """A source: its parts, the first that holds a value wins."""

    parts: tuple[Part, ...]
    num_bands: int
    kind: Kind


def fitted(mosaic: Mosaic, grid: Grid) -> Mosaic:
    """The mosaic with each part's resampling settled for a grid, once, so that no window can differ."""
    return replace(mosaic, parts=tuple(replace(p, grows=source_step(p.file, grid) > 1.2) for p in mosaic.parts))


def source_step(file: RasterFile, grid: Grid) -> float:
    """How many pixels of a file one pixel in the middle of the grid is wide or high, whichever is more."""
    column, row = grid.width / 2, grid.height / 2
    corners = [grid.transform * place for place in ((column, row), (column + 1, row), (column, row + 1))]
    found = transform_points(CRS.from_string(grid.crs), CRS.from_string(file.crs), *zip(*corners, strict=True))
    places = np.array([~file.affine * place for place in zip(found[0], found[1], strict=True)])
    return float(np.hypot(*(places[1:] - places[0]).T).max())


def outline(mosaic: Mosaic, crs: str) -> Bounds:
    """The box around the area in which every band has a file."""
    boxes = []
    for band in range(mosaic.num_bands):
        own = [transform_bounds(p.file.crs, crs, *p.file.bounds) for p in mosaic.parts if band in p.bands]
        boxes.append((min(b[0] for b in own), min(b[1] for b in own), max(b[2] for b in own), max(b[3] for b in own)))
    return (max(b[0] for b in boxes), max(b[1] for b in boxes), min(b[2] for b in boxes), min(b[3] for b in boxes))


def read_on_grid(
    mosaic: Mosaic,
    grid: Grid,
    convert: Callable[[np.ndarray, Part], np.ndarray] | None = None,
) -> np.ndarray:
    """Read a window of the grid: (bands, H, W) float32, NaN where no file holds a value.

    Args:
        mosaic: The source.
        grid: The window.
        convert: Turns raw values (NaN for nodata) of a part into what may be mixed, before any resampling.
    """
    out = np.full((mosaic.num_bands, grid.height, grid.width), np.nan, np.float32)
    for group in _same_lattice(mosaic.parts):
        bands = list(group[0].bands)
        if np.isfinite(out[bands]).all():
            continue
        values = _read_group(group, grid, mosaic.kind, convert)
        if values is not None:
            holes = ~np.isfinite(out[bands])
            out[bands] = np.where(holes, values, out[bands])
    return out


def _same_lattice(parts: Iterable[Part]) -> list[list[Part]]:
    """Group the parts whose pixels lie on one lattice and that supply the same bands; order is kept."""
    groups: list[list[Part]] = []
    for part in parts:
        for group in groups:
            first = group[0]
            if (
                first.bands == part.bands
                and first.file.crs == part.file.crs
                and _aligned(first.file.affine, part.file.affine)
            ):
                group.append(part)
                break
        else:
            groups.append([part])
    return groups


def _aligned(a: Affine, b: Affine) -> bool:
    """Whether two transforms share pixel size and phase, to a hundredth of a pixel."""
    if abs(a.a - b.a) > 1e-6 * a.a or abs(a.e - b.e) > 1e-6 * abs(a.e):
        return False
    columns, rows = float((b.c - a.c) / a.a), float((b.f - a.f) / a.e)
    return abs(columns - round(columns)) < 0.01 and abs(rows - round(rows)) < 0.01


def _read_group(
    group: Sequence[Part], grid: Grid, kind: Kind, convert: Callable[[np.ndarray, Part], np.ndarray] | None
) -> np.ndarray | None:
    """The window from the files of one lattice, None where they do not touch it."""
    base = group[0].file.affine
    same = group[0].file.crs == grid.crs and _aligned(base, grid.transform)
    window = _source_window(group[0].file, grid, 0 if same else _MARGIN)
    pieces = [(part, placed) for part in group if (placed := _overlap(part, base, window)) is not None]
    if not pieces:
        return None
    column, row, width, height = window
    joined = np.full((len(group[0].bands), height, width), np.nan, np.float32)
    for part, (source, at) in pieces:
        values = read_bands(part.file, part.indexes, window=Window(*source))
        if convert is not None:
            values = convert(values, part)
        target = joined[:, at[1] : at[1] + values.shape[1], at[0] : at[0] + values.shape[2]]
        np.copyto(target, values, where=~np.isfinite(target))
    if same:
        return joined
    place = Affine(base.a, 0, base.c + column * base.a, 0, base.e, base.f + row * base.e)
    crs = group[0].file.crs
    if kind is Kind.ELEVATION and not group[0].grows:
        shape = (grid.height, grid.width)
        return np.stack([resample_elevation(plane, place, crs, grid.transform, grid.crs, shape) for plane in joined])
    return _warped(joined, crs, place, grid, _kernel(group[0], kind))


def _warped(values: np.ndarray, crs: str, place: Affine, grid: Grid, kernel: Resampling) -> np.ndarray:
    """Resample (bands, h, w) float32 onto a grid, NaN for nothing.

    GDAL interpolates positions between exactly transformed ones, by default up to an eighth of a source pixel
    wrong and differently in each window; only `WarpedVRT` heeds another tolerance (rasterio 1.4), hence the detour.
    """
    bands, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", dtype="float32", count=bands, height=height, width=width, crs=crs, transform=place, nodata=np.nan
        ) as source:  # fmt: skip
            source.write(values)
        with (
            memory.open() as source,
            WarpedVRT(
                source, crs=grid.crs, transform=grid.transform, width=grid.width, height=grid.height, resampling=kernel,
                src_nodata=np.nan, nodata=np.nan, tolerance=1e-4,
            ) as warped,
        ):  # fmt: skip
            return np.asarray(warped.read())


def _source_window(file: RasterFile, grid: Grid, margin: int) -> tuple[int, int, int, int]:
    """Column, row, width, height (in the lattice of `file`) of the pixels that a grid window needs."""
    bounds = grid.bounds if file.crs == grid.crs else transform_bounds(grid.crs, file.crs, *grid.bounds, densify_pts=51)
    a = file.affine
    left, right = (bounds[0] - a.c) / a.a, (bounds[2] - a.c) / a.a
    top, bottom = (bounds[3] - a.f) / a.e, (bounds[1] - a.f) / a.e
    if margin == 0:
        return round(left), round(top), grid.width, grid.height
    shrink = max(1.0, (right - left) / grid.width, (bottom - top) / grid.height)  # the kernel grows with the pixels
    extra = math.ceil(margin * shrink)
    column, row = math.floor(left) - extra, math.floor(top) - extra
    return column, row, math.ceil(right) + extra - column, math.ceil(bottom) + extra - row


def _overlap(
    part: Part, base: Affine, window: tuple[int, int, int, int]
) -> tuple[tuple[int, int, int, int], tuple[int, int]] | None:
    """Which pixels of the file fall into the window, and where in it they go."""
    own = part.file.affine
    shift_x, shift_y = round((own.c - base.c) / base.a), round((own.f - base.f) / base.e)
    column, row, width, height = window
    left, top = max(column, shift_x), max(row, shift_y)
    right = min(column + width, shift_x + part.file.width)
    bottom = min(row + height, shift_y + part.file.height)
    if left >= right or top >= bottom:
        return None
    return (left - shift_x, top - shift_y, right - left, bottom - top), (left - column, top - row)


def _kernel(part: Part, kind: Kind) -> Resampling:
    """The resampling of a source; where pixels grow by more than a fifth, the mean over their area."""
    if kind is Kind.CLASSES:
        return Resampling.nearest
    if part.grows:
        return Resampling.average
    return Resampling.bilinear
