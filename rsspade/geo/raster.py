"""Raster files as they come: what a file says of itself, checked before anything is read from it.

`inspect_raster` opens a file once and keeps what the rest needs; `sample` looks at a thinned copy of its
pixels; `reading` turns GDAL's errors into one sentence that names the file.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine, array_bounds

from rsspade.errors import InputError, explain
from rsspade.geo.grid import Bounds

__all__ = ["RasterFile", "inspect_raster", "raster_files", "reading", "sample"]

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
    nodata: float | None
    descriptions: tuple[str | None, ...]
    units: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    tags: dict[str, str]

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
        reason = " ".join(str(err.__cause__ or err).split())
        raise InputError(
            explain(
                path, expected="a readable raster", found=reason, fix="Is the file whole? Copy or download it again."
            )
        ) from err


def inspect_raster(path: Path) -> RasterFile:
    """Open a raster and keep its description; refuses files without a place on the ground."""
    if not path.exists():
        raise InputError(explain(path, expected="a raster file", found="no such file", fix="Correct the path."))
    with reading(path), rasterio.open(path) as src:
        found = RasterFile(
            path=path, crs=src.crs.to_string() if src.crs else "", transform=tuple(src.transform)[:6], width=src.width,
            height=src.height, count=src.count, dtype=src.dtypes[0], nodata=src.nodata, descriptions=tuple(src.descriptions),
            units=tuple(src.units), scales=tuple(src.scales), offsets=tuple(src.offsets), tags=dict(src.tags()),
        )  # fmt: skip
    if not found.crs:
        raise InputError(
            explain(path, expected="a coordinate reference system", found="none",
                    fix="Assign it, for instance with `rio edit-info --crs EPSG:… FILE`.")
        )  # fmt: skip
    a = found.affine
    if a.is_identity or a.b != 0 or a.d != 0 or a.e >= 0 or a.a <= 0:
        what = "none" if a.is_identity else f"the transform {tuple(a)[:6]}"
        raise InputError(
            explain(path, expected="a north-up georeference", found=what, fix="Warp the file first, for instance with `rio warp` or gdalwarp.")
        )  # fmt: skip
    return found


def sample(file: RasterFile, indexes: Sequence[int], side: int = 512) -> np.ndarray:
    """A thinned copy of the bands, at most `side` pixels a side, as float64 with declared nodata as NaN."""
    shape = (len(indexes), min(side, file.height), min(side, file.width))
    with reading(file.path), rasterio.open(file.path) as src:
        values = src.read(list(indexes), out_shape=shape, resampling=Resampling.nearest)
    values = values.astype(np.float64)
    if file.nodata is not None:
        values[values == file.nodata] = np.nan
    values[~np.isfinite(values)] = np.nan
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
