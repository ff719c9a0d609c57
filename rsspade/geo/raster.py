"""Raster files as they come: what a file says of itself, checked before anything is read from it.

`inspect_raster` opens a file once and keeps what the rest needs; `read_bands` reads pixels as the file means
them (declared nodata, masks and scales heeded), `sample` a thinned copy of them; `reading` turns GDAL's errors
into one sentence that names the file.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine, array_bounds
from rasterio.windows import Window

from rsspade.errors import InputError, explain
from rsspade.geo.grid import Bounds

__all__ = ["RasterFile", "inspect_raster", "raster_files", "read_bands", "reading", "sample", "sample_classes"]

_UNPACKED = 12_000 * 12_000
"""Pixels of a class map that are looked through for a sample without overviews: seconds."""

_EXTENSIONS = (".tif", ".tiff", ".jp2", ".vrt", ".img")


@dataclass(frozen=True, kw_only=True, slots=True)
class RasterFile:
    """What a raster file says of itself."""

    path: Path
    crs: str
    transform: tuple[float, ...]
    width: int
    height: int
    count: int
    dtype: str
    nodata: tuple[float | None, ...]
    descriptions: tuple[str | None, ...]
    units: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    tags: dict[str, str]
    has_mask: bool = False  # a mask band says which pixels count
    alpha: int = 0  # the band that says it; GDAL takes alpha for a mask in files of 2 and 4 bands alone
    has_overviews: bool = False

    @property
    def affine(self) -> Affine:
        """Pixel -> ground."""
        return Affine(*self.transform)

    @property
    def bounds(self) -> Bounds:
        """The outline in the file's CRS."""
        west, south, east, north = array_bounds(self.height, self.width, self.affine)
        return (west, south, east, north)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """The pixel's width and height in units of the CRS."""
        return abs(self.affine.a), abs(self.affine.e)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file GDAL could not read."""
    try:
        yield
    except RasterioError as err:
        reason = " ".join(str(err.__cause__ or err).split()).rstrip(".")
        raise InputError(
            explain(
                path, expected="a readable raster", found=reason, fix="Is the file whole? Copy or download it again."
            )
        ) from err


def inspect_raster(path: Path) -> RasterFile:
    """Open a raster and keep its description; refuses files without a place on the ground."""
    if not path.exists():
        raise InputError(explain(path, expected="a raster file", found="no such file", fix="Correct the path."))
    with warnings.catch_warnings(), reading(path):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # said below, with what to do
        src = rasterio.open(path)
    with reading(path), src:
        found = RasterFile(
            path=path, crs=src.crs.to_string() if src.crs else "", transform=tuple(src.transform)[:6], width=src.width,
            height=src.height, count=src.count, dtype=src.dtypes[0], nodata=tuple(src.nodatavals), descriptions=_descriptions(src),
            units=tuple(src.units), scales=tuple(src.scales), offsets=tuple(src.offsets), tags=dict(src.tags()),
            has_mask=any(MaskFlags.per_dataset in flags for flags in src.mask_flag_enums),
            has_overviews=any(src.overviews(index) for index in src.indexes), alpha=_alpha_band(src),
        )  # fmt: skip
    if not found.crs:
        raise InputError(
            explain(path, expected="a coordinate reference system", found="none",
                    fix="Assign it, for instance with `rio edit-info --crs EPSG:… FILE`.")
        )  # fmt: skip
    if not (crs_of(found).is_geographic or crs_of(found).is_projected):
        raise InputError(
            explain(path, expected="a coordinate reference system with a place on the Earth", found=f"a local one, {found.crs[:60]}",
                    fix="Assign the true one, for instance with `rio edit-info --crs EPSG:… FILE`.")
        )  # fmt: skip
    a = found.affine
    if max(abs(a.b) * found.height / max(abs(a.a), 1e-300), abs(a.d) * found.width / max(abs(a.e), 1e-300)) < 0.01:
        a = Affine(a.a, 0, a.c, 0, a.e, a.f)  # what rounding leaves of a warp is no rotation
        found = replace(found, transform=tuple(a)[:6])
    if a.is_identity or a.b != 0 or a.d != 0 or a.e >= 0 or a.a <= 0:
        what = "none" if a.is_identity else f"the transform {tuple(a)[:6]}"
        raise InputError(
            explain(path, expected="a north-up georeference", found=what, fix="Warp the file first, for instance with `rio warp` or gdalwarp.")
        )  # fmt: skip
    return found


def sample(file: RasterFile, indexes: Sequence[int], side: int = 512) -> np.ndarray:
    """A thinned copy of the bands, at most `side` pixels a side, as float64 with nodata as NaN."""
    return read_bands(file, indexes, shape=(min(side, file.height), min(side, file.width))).astype(np.float64)


def sample_classes(file: RasterFile, index: int) -> np.ndarray:
    """As `sample`, of pixels as they are: overviews of class maps are often made by a kernel that mixes ids.

    Of a very large file patches that lie evenly on it, since all of it would have to be unpacked.
    """
    side, places = 64, 8
    if not file.has_overviews:
        return sample(file, [index])
    if file.width * file.height <= _UNPACKED:
        shape = (min(512, file.height), min(512, file.width))
        return read_bands(file, [index], shape=shape, overviews=False).astype(np.float64)
    height, width = min(side, file.height), min(side, file.width)
    patches = [
        read_bands(file, [index], window=Window(column, row, width, height))
        for row in _spread(file.height, height, places)
        for column in _spread(file.width, width, places)
    ]
    found = np.concatenate(patches, axis=1).astype(np.float64)
    return found if np.isfinite(found).any() else sample(file, [index])


def _spread(length: int, side: int, places: int) -> list[int]:
    """Where windows begin that lie evenly on a length, from its one end to the other."""
    return sorted({int(start) for start in np.linspace(0, max(length - side, 0), places)})


def _colours(src: rasterio.DatasetReader) -> list[str]:
    try:
        return [colour.name for colour in src.colorinterp]
    except ValueError:  # a colour that rasterio does not know yet
        return [""] * src.count


def _alpha_band(src: rasterio.DatasetReader) -> int:
    colours = _colours(src)
    return colours.index("alpha") + 1 if "alpha" in colours else 0


def _descriptions(src: rasterio.DatasetReader) -> tuple[str | None, ...]:
    """Of the bands; of those without one, the colour that a file of up to four, alpha apart, gives them.

    Where there are more, colours mostly say what a viewer shall show, and the usual order of bands counts.
    """
    colours = _colours(src)
    told = ("red", "green", "blue", "alpha") if len(colours) - ("alpha" in colours) <= 4 else ("alpha",)
    return tuple(
        text or (colour if colour in told else None) for text, colour in zip(src.descriptions, colours, strict=True)
    )


def read_bands(
    file: RasterFile,
    indexes: Sequence[int],
    *,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
    overviews: bool = True,
) -> np.ndarray:
    """Bands of a file as float32, NaN where the file says that a pixel holds nothing, declared scales applied.

    Args:
        file: The file.
        indexes: Its bands, counted from 1.
        window: The part to read; the whole file by default.
        shape: Rows and columns of a thinned copy.
        overviews: Whether that may be one of the copies that the file holds.
    """
    out_shape = None if shape is None else (len(indexes), *shape)
    options = {} if overviews else {"OVERVIEW_LEVEL": "NONE"}
    with reading(file.path), rasterio.open(file.path, **options) as src:
        values = src.read(list(indexes), window=window, out_shape=out_shape, resampling=Resampling.nearest)
        with np.errstate(over="ignore"):  # a fill value of 64 bits becomes infinite, and is missing then
            values = values.astype(np.float32)
            declared = [None if value is None else np.float32(value) for value in file.nodata]
        missing = ~np.isfinite(values)
        for gaps, plane, index in zip(missing, values, indexes, strict=True):
            if declared[index - 1] is not None:
                gaps |= plane == declared[index - 1]
        if file.has_mask:
            missing |= src.dataset_mask(window=window, out_shape=shape) == 0
        elif file.alpha and file.alpha not in indexes:
            missing |= src.read(file.alpha, window=window, out_shape=shape, resampling=Resampling.nearest) == 0
    for plane, index in zip(values, indexes, strict=True):
        scale, offset = file.scales[index - 1], file.offsets[index - 1]
        if scale != 1 or offset != 0:
            plane[...] = plane * np.float64(scale) + offset
    values[missing] = np.nan
    return np.asarray(values)


def raster_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given; a folder stands for the rasters in it, by name."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _EXTENSIONS)
        if not inside:
            raise InputError(
                explain(path, expected=f"a folder with rasters ({', '.join(_EXTENSIONS)})", found="none in it",
                        fix="Name the files themselves, or the folder that holds them.")
            )  # fmt: skip
        files += inside
    return files


def crs_of(file: RasterFile) -> CRS:
    """The file's CRS as an object."""
    return CRS.from_string(file.crs)
