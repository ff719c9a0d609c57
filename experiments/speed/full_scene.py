"""A full-size Sentinel-2 scene out of made-up pixels, to see what `prepare` needs on one.

The optical bands on a 10 m UTM grid, radar at 10 m in another UTM zone, land cover at 10 m and elevation at
30 m in degrees, as the archives serve them.
"""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from scipy.ndimage import gaussian_filter

UTM = "EPSG:32632"
WEST, NORTH = 499_980.0, 5_400_000.0


def write_full_scene(folder: Path, side: int = 10_980) -> dict[str, Path]:
    """Write the four sources of one scene; input name -> file."""
    rng = np.random.default_rng(0)
    pattern = np.stack([gaussian_filter(rng.normal(size=(1024, 1024)), 3, mode="wrap") for _ in range(4)])
    pattern = 0.5 + pattern / pattern.std() / 8  # about 0.1 to 0.9
    box = (WEST, NORTH - side * 10, WEST + side * 10, NORTH)
    ids = np.array([0, 1, 2, 4, 5, 6], np.uint8)
    layouts = {
        "s2": (UTM, 10.0, np.rint(400 + 2000 * pattern).astype(np.uint16), 0),
        "s1": ("EPSG:32633", 10.0, (-20 + 12 * pattern[:2]).astype(np.float32), np.nan),
        "lulc": ("EPSG:4326", 1 / 12_000, ids[(pattern[:1] * 6).astype(int).clip(0, 5)], 255),
        "dem": ("EPSG:4326", 1 / 3_600, (200 + 300 * pattern[:1]).astype(np.float32), -9999),
    }
    return {name: _write(folder / f"{name}.tif", box, *layout) for name, layout in layouts.items()}


def _write(
    path: Path, box: tuple[float, float, float, float], crs: str, pixel: float, values: np.ndarray, nodata: float
) -> Path:
    """Repeat a block of pixels over the box (in UTM) and some kilometres around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    margin = 0 if crs == UTM else 3000
    wide = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
    west, south, east, north = wide if crs == UTM else transform_bounds(UTM, crs, *wide, densify_pts=51)
    width, height = round((east - west) / pixel), round((north - south) / pixel)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), width=width, height=height, crs=crs, nodata=nodata,
        transform=Affine(pixel, 0, west, 0, -pixel, north), tiled=True, blockxsize=512, blockysize=512, compress="deflate",
        zlevel=1, bigtiff="if_safer",
    ) as out:  # fmt: skip
        side = values.shape[1]
        for row in range(0, height, side):
            for column in range(0, width, side):
                h, w = min(side, height - row), min(side, width - column)
                out.write(values[:, :h, :w], window=rasterio.windows.Window(column, row, w, h))
    return path
