"""A window of each source on a grid, in physical units: what `prepare` stores and `scene` shows a network.

A pixel does not depend on the window that it is read in: elevation brings a margin along for its slopes.
"""

import warnings

import numpy as np

from rsspade.geo import sar
from rsspade.geo.grid import Grid
from rsspade.geo.inputs import HIGHEST_M, LOWEST_M, RadarInput
from rsspade.geo.mosaic import Mosaic, Part, read_on_grid
from rsspade.geo.optical_input import OpticalInput
from rsspade.geo.terrain import terrain_derivatives_inside
from rsspade.landcover import find_map, scheme_named
from rsspade.sources import UNLABELLED

__all__ = ["read_classes", "read_optical", "read_radar", "read_terrain"]


def read_optical(optical: OpticalInput, window: Grid) -> np.ndarray:
    """Reflectance (bands, H, W) float32, NaN for nothing."""
    return read_on_grid(optical.mosaic, window, optical.to_reflectance)


def read_radar(radar: RadarInput, window: Grid) -> np.ndarray:
    """Backscatter in dB (2, H, W) float32, NaN for nothing."""
    return np.asarray(sar.to_db(read_on_grid(radar.mosaic, window, radar.to_power), "power"), np.float32)


def read_classes(landcover: Mosaic, window: Grid, *, scheme: str, to: str) -> np.ndarray:
    """Class ids (1, H, W) uint8 of the scheme `to`, from files in `scheme`; 255 for nothing."""
    raw = read_on_grid(landcover, window)
    ids = scheme_named(scheme).normalise(np.where(np.isfinite(raw), raw, UNLABELLED), landcover.parts[0].file.path)
    named = find_map(scheme, to)
    return ids if named is None else named.apply(ids)


def read_terrain(elevation: Mosaic, window: Grid) -> np.ndarray:
    """Elevation, slope, aspect, hillshade (4, H, W) float32, NaN for nothing."""
    heights = read_on_grid(elevation, window.expanded(3), _without_voids)[0]
    terrain = terrain_derivatives_inside(_continued(heights)[2:-2, 2:-2], window.pixel_size)
    terrain[:, np.isnan(heights[3:-3, 3:-3])] = np.nan  # continued heights serve their neighbours' slopes alone
    return terrain


def _without_voids(heights: np.ndarray, part: Part) -> np.ndarray:
    """Before any resampling: a void of a few pixels may have been between those that the plan looked at."""
    return np.where((heights < LOWEST_M) | (heights > HIGHEST_M), np.float32(np.nan), heights)


def _continued(heights: np.ndarray) -> np.ndarray:
    """Continue heights linearly by a pixel where they end, so that the border of a scene keeps its slope.

    Each new pixel looks at its two nearest neighbours in a row or column only: the margin of three pixels that
    the caller reads is enough to make the result the same in every window.
    """
    found = []
    for axis in (0, 1):
        for step in (1, -1):
            near, far = np.roll(heights, step, axis), np.roll(heights, 2 * step, axis)
            ahead = 2 * near - far
            edge = [slice(None), slice(None)]
            edge[axis] = slice(0, 2) if step == 1 else slice(-2, None)  # rolled in from the other side
            ahead[tuple(edge)] = np.nan
            found.append(ahead)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels without any neighbour stay NaN
        guess = np.nanmean(found, axis=0)
    return np.where(np.isfinite(heights), heights, guess)
