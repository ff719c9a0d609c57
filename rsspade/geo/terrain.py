"""Slope, aspect and hillshade from elevation, as GDAL's `gdaldem` computes them (Horn's 3×3 differences).

Rows run southwards, columns eastwards. Outside the raster the heights go on linearly; a missing neighbour
inside it counts as level with the pixel. Both are `gdaldem -compute_edges`, corners included, so that whoever
compares the two finds no seam. A job that works window by window hands in one more pixel on each side
(`terrain_derivatives_inside`): the value of a pixel then depends on its nine heights alone, not on the window.

Reference: Horn, "Hill shading and the reflectance map", Proceedings of the IEEE 69 (1981).
"""

import numpy as np

__all__ = ["FLAT_ASPECT", "TERRAIN_BANDS", "terrain_derivatives", "terrain_derivatives_inside"]

TERRAIN_BANDS = ("elevation", "slope", "aspect", "hillshade")
"""What the four planes of the result hold, in order."""

FLAT_ASPECT = -1.0
"""The aspect of ground that faces nowhere."""

# Heights stored as float32 carry steps of up to 0.5 mm at 8000 m; the gradient that those steps alone make at
# 10 m stays below this. A direction computed from it would be noise on a lake.
_FLAT_GRADIENT = 1e-5


def terrain_derivatives(
    elevation: np.ndarray,
    pixel_size_m: float | tuple[float, float],
    *,
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
) -> np.ndarray:
    """Elevation and its derivatives on a metric, north-up grid.

    Args:
        elevation: (H, W) heights in metres, NaN where unknown.
        pixel_size_m: Width and height of a pixel, or one number for both; signs are ignored.
        azimuth_deg: Where the light comes from, clockwise from north.
        altitude_deg: Its height above the horizon.

    Returns:
        (4, H, W) float32: elevation in metres, slope in degrees, aspect in degrees clockwise from north
        (-1 where flat), hillshade from 1 (in shade) to 255. NaN in all four where the elevation is NaN.
    """
    light = {"azimuth_deg": azimuth_deg, "altitude_deg": altitude_deg}
    north_south = _continued(_as_heights(elevation))
    out = terrain_derivatives_inside(_continued(north_south.T).T, pixel_size_m, **light)
    # In the four corner pixels `gdaldem` continues north and south, but repeats sideways.
    repeated = np.pad(north_south, ((0, 0), (1, 1)), mode="edge")
    for row, rows in ((0, slice(0, 3)), (-1, slice(-3, None))):
        for column, columns in ((0, slice(0, 3)), (-1, slice(-3, None))):
            corner = terrain_derivatives_inside(repeated[rows, columns], pixel_size_m, **light)
            out[:, row, column] = corner[:, 0, 0]
    return out


def terrain_derivatives_inside(
    elevation: np.ndarray,
    pixel_size_m: float | tuple[float, float],
    *,
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
) -> np.ndarray:
    """The same for all but the outermost pixels: (H + 2, W + 2) heights with a halo -> (4, H, W).

    Halo pixels that are NaN count as level with their neighbour inside.
    """
    heights = _as_heights(elevation)
    if min(heights.shape) < 3:
        raise ValueError(f"heights with a halo are at least 3×3 pixels, these are {heights.shape}")
    width_m, height_m = _pixel_sides(pixel_size_m)
    eastward, southward = _horn_differences(heights)
    eastward /= 8 * width_m
    southward /= 8 * height_m
    steepness = np.hypot(eastward, southward)

    # The downhill direction is (-eastward, +southward as seen from north); clockwise from north.
    aspect = np.degrees(np.arctan2(-eastward, southward)) % 360.0
    aspect[steepness < _FLAT_GRADIENT] = FLAT_ASPECT
    out = np.empty((4, *steepness.shape), np.float32)
    out[0] = heights[1:-1, 1:-1]
    out[1] = np.degrees(np.arctan(steepness))
    out[2] = aspect
    out[2][out[2] >= 360] = 0.0  # 359.9999999° rounds up in float32
    out[3] = _hillshade(eastward, southward, azimuth_deg, altitude_deg)
    out[1:, np.isnan(out[0])] = np.nan
    return out


def _as_heights(elevation: np.ndarray) -> np.ndarray:
    if elevation.ndim != 2:
        raise ValueError(f"elevation is one plane of heights (H, W), this has the shape {elevation.shape}")
    return elevation.astype(np.float64)  # float32 differences of heights would show in the slope


def _pixel_sides(pixel_size_m: float | tuple[float, float]) -> tuple[float, float]:
    width, height = pixel_size_m if isinstance(pixel_size_m, tuple) else (pixel_size_m, pixel_size_m)
    if not (width and height and np.isfinite(width) and np.isfinite(height)):
        raise ValueError(f"a pixel has a width and a height in metres, not {pixel_size_m}")
    return abs(width), abs(height)


def _continued(heights: np.ndarray) -> np.ndarray:
    """One more row on top and below, continued linearly from the two outermost ones."""
    padded = np.pad(heights, ((1, 1), (0, 0)), mode="edge")
    if heights.shape[0] >= 2:
        padded[0] = 2 * heights[0] - heights[1]
        padded[-1] = 2 * heights[-1] - heights[-2]
    return padded


def _horn_differences(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums 1-2-1 of the differences east minus west and south minus north, over two pixels each."""
    height, width = heights.shape[0] - 2, heights.shape[1] - 2
    centre = heights[1:-1, 1:-1]

    def neighbour(row: int, column: int) -> np.ndarray:
        values = heights[row : row + height, column : column + width]
        return np.where(np.isnan(values), centre, values)

    north_west, north_east, south_west, south_east = (neighbour(r, c) for r in (0, 2) for c in (0, 2))
    eastward = (north_east - north_west) + 2 * (neighbour(1, 2) - neighbour(1, 0)) + (south_east - south_west)
    southward = (south_west - north_west) + 2 * (neighbour(2, 1) - neighbour(0, 1)) + (south_east - north_east)
    return eastward, southward


def _hillshade(eastward: np.ndarray, southward: np.ndarray, azimuth_deg: float, altitude_deg: float) -> np.ndarray:
    """Lambert shading of the surface z(x, y): 1 where the light does not reach, 255 where it falls head-on."""
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    # Surface normal (-dz/dx, -dz/dy, 1) with y to the north, light (sin A cos h, cos A cos h, sin h).
    towards_light = np.cos(altitude) * (-np.sin(azimuth) * eastward + np.cos(azimuth) * southward)
    cosine = (towards_light + np.sin(altitude)) / np.sqrt(1 + eastward**2 + southward**2)
    return np.asarray(1 + 254 * np.maximum(cosine, 0))
