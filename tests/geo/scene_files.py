"""Scene files for the tests of `prepare`: one known ground, drawn into rasters of any CRS and pixel size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform, transform_bounds

UTM = "EPSG:32632"
WEST, NORTH, SIDE = 600_000.0, 5_400_000.0, 2_560.0  # metres: 256 pixels of 10 m

_RNG = np.random.default_rng(7)
_WAVES = _RNG.uniform(-1, 1, (24, 2)) / 150.0  # cycles per metre: nothing finer than about 150 m
_PHASES = _RNG.uniform(0, 2 * np.pi, 24)


def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth pattern on the ground, about 0 to 1, without any symmetry; x and y in UTM metres."""
    dx, dy = x - WEST, y - NORTH
    waves = sum(np.sin(2 * np.pi * (a * dx + b * dy) + p) for (a, b), p in zip(_WAVES, _PHASES, strict=True))
    return np.asarray(0.5 + 0.5 * np.tanh(waves / 4))


def ground_on(crs: str, transform_: Affine, height: int, width: int, *, oversample: int = 3) -> np.ndarray:
    """The mean of the pattern over each pixel of a raster."""
    offsets = (np.arange(oversample) + 0.5) / oversample
    total = np.zeros((height, width))
    for dr in offsets:
        for dc in offsets:
            columns, rows = np.meshgrid(np.arange(width) + dc, np.arange(height) + dr)
            xs, ys = transform_ * (columns.ravel(), rows.ravel())
            east, north = transform(CRS.from_string(crs), CRS.from_string(UTM), xs, ys)
            total += ground(np.array(east), np.array(north)).reshape(height, width)
    return total / oversample**2


def write_raster(
    path: Path,
    values: np.ndarray,
    *,
    crs: str | None,
    transform_: Affine,
    nodata: float | None = None,
    names: Any = None,
    unit: str | None = None,
) -> Path:
    """Write (bands, H, W) as a plain GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=values.dtype,
        count=count,
        height=height,
        width=width,
        crs=crs,
        transform=transform_,
        nodata=nodata,
    ) as dst:
        dst.write(values)
        if names:
            dst.descriptions = names
        if unit:
            dst.units = [unit] * count
    return path


SceneMaker = Callable[..., dict[str, Path]]


@pytest.fixture
def make_scene_files() -> SceneMaker:
    """Factory: `make_scene_files(folder, crs=..., pixel=...)` -> input name -> path.

    Each source shows the same ground in its own units: reflectance 0.05 + 0.2 g (as digital numbers), radar power
    from g, height 100 + 400 g metres, land cover 1 where g > 0.5 and 4 elsewhere (Dynamic World).
    """

    def make(
        folder: Path,
        *,
        crs: str = UTM,
        pixel: float = 10.0,
        shift: tuple[float, float] = (0.0, 0.0),
        margin: float = 0.0,
        offset: int = 0,
        bands: int = 4,
    ) -> dict[str, Path]:
        box = (WEST - margin, NORTH - SIDE - margin, WEST + SIDE + margin, NORTH + margin)
        west, south, east, north = transform_bounds(UTM, crs, *box, densify_pts=21) if crs != UTM else box
        degrees = CRS.from_string(crs).is_geographic
        size = pixel / 111_320 if degrees else pixel
        place = Affine(size, 0, west + shift[0] * size, 0, -size, north - shift[1] * size)
        width, height = round((east - west) / size), round((north - south) / size)
        g = ground_on(crs, place, height, width)
        numbers = np.stack([10_000 * (0.05 + 0.2 * g) + 10 * b for b in range(bands)]) - offset
        power = np.stack([0.05 + 0.2 * g, 0.01 + 0.04 * g])
        write = {
            "s2": (np.rint(numbers).astype(np.uint16), 0),
            "s1": (10 * np.log10(power).astype(np.float32), np.nan),
            "lulc": (np.where(g > 0.5, 1, 4).astype(np.uint8)[None], 255),
            "dem": ((100 + 400 * g).astype(np.float32)[None], -9999),
        }
        return {
            name: write_raster(folder / f"{name}.tif", values, crs=crs, transform_=place, nodata=nodata)
            for name, (values, nodata) in write.items()
        }

    return make
