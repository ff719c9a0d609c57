"""A grid: where the pixels of a raster lie. North up, square pixels, one projected CRS.

A scene gets one grid, and every source is brought onto it, so that upper-left corners agree to the pixel.
"""

import math
from dataclasses import dataclass

from pyproj import CRS as ProjCRS  # noqa: N811 (rasterio has a CRS of its own)
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from rsspade.errors import InputError, explain

__all__ = ["Bounds", "Grid", "intersect", "is_utm", "utm_crs_of"]

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Pixels of `pixel_size` metres, counted from the upper-left corner (`x_min`, `y_max`)."""

    crs: str
    x_min: float
    y_max: float
    pixel_size: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) -> ground (x, y)."""
        return Affine(self.pixel_size, 0.0, self.x_min, 0.0, -self.pixel_size, self.y_max)

    @property
    def bounds(self) -> Bounds:
        """The outline in the grid's CRS."""
        return (
            self.x_min,
            self.y_max - self.height * self.pixel_size,
            self.x_min + self.width * self.pixel_size,
            self.y_max,
        )

    def window(self, row: int, column: int, height: int, width: int) -> "Grid":
        """A part of the grid (or beyond it: offsets may be negative)."""
        return Grid(
            crs=self.crs, x_min=self.x_min + column * self.pixel_size, y_max=self.y_max - row * self.pixel_size,
            pixel_size=self.pixel_size, width=width, height=height,
        )  # fmt: skip

    def expanded(self, pixels: int) -> "Grid":
        """The grid with a margin on every side."""
        return self.window(-pixels, -pixels, self.height + 2 * pixels, self.width + 2 * pixels)

    def clipped(self, bounds: Bounds) -> "Grid":
        """The whole pixels of this lattice inside both this grid and `bounds` (same CRS); may be empty."""
        p, slack = self.pixel_size, 1e-3  # a thousandth of a pixel: coordinates in files carry rounding
        left = max(0, math.ceil((bounds[0] - self.x_min) / p - slack))
        top = max(0, math.ceil((self.y_max - bounds[3]) / p - slack))
        right = min(self.width, math.floor((bounds[2] - self.x_min) / p + slack))
        bottom = min(self.height, math.floor((self.y_max - bounds[1]) / p + slack))
        return self.window(top, left, max(0, bottom - top), max(0, right - left))

    @classmethod
    def covering(cls, crs: str, bounds: Bounds, pixel_size: float) -> "Grid":
        """A grid around `bounds`, its corner a multiple of the pixel size."""
        left = math.floor(bounds[0] / pixel_size + 1e-9) * pixel_size
        top = math.ceil(bounds[3] / pixel_size - 1e-9) * pixel_size
        return cls(
            crs=crs, x_min=left, y_max=top, pixel_size=pixel_size,
            width=math.ceil((bounds[2] - left) / pixel_size - 1e-9), height=math.ceil((top - bounds[1]) / pixel_size - 1e-9),
        )  # fmt: skip


def intersect(a: Bounds, b: Bounds) -> Bounds | None:
    """The common part of two boxes, None where there is none."""
    west, south, east, north = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (west, south, east, north) if west < east and south < north else None


def is_utm(crs: CRS) -> bool:
    """Whether a CRS is a UTM zone on some datum: metres, and distances that can be trusted."""
    zone = ProjCRS.from_user_input(crs).utm_zone
    return zone is not None


def utm_crs_of(crs: CRS, bounds: Bounds, where: object) -> str:
    """The WGS 84 UTM zone at the middle of a box."""
    west, south, east, north = transform_bounds(crs, "EPSG:4326", *bounds)
    east += 360 if east < west else 0  # across the antimeridian
    lon, lat = (west + east) / 2, (south + north) / 2
    if not (math.isfinite(lon) and -80.0 <= lat <= 84.0):
        raise InputError(
            explain(where, expected="a place between 80° south and 84° north, where UTM is defined", found=f"latitude {lat:.1f}",
                    fix="Give the wanted grid with --grid.")
        )  # fmt: skip
    zone = int((lon + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
