"""Clouds with soft edges, and their shadows where the sun puts them."""

import numpy as np
from scipy import ndimage

from rsspade.world.conditions import Conditions
from rsspade.world.noise import Fields, smooth_step
from rsspade.world.terrain import PIXEL_M

__all__ = ["CLEAR", "CLOUD", "SHADOW", "add_clouds"]

CLEAR, CLOUD, SHADOW = 0, 1, 2
_WHITE = np.array((0.62, 0.60, 0.61, 0.63), np.float64)


def add_clouds(
    image: np.ndarray, fields: Fields, where: Conditions, *, share: float, inside: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Cover that share of the scene.

    Args:
        image: (4, H, W) clear reflectance.
        fields: Of the scene.
        where: Of the scene; the sun decides where shadows fall.
        share: Of the pixels that lie inside, clouded.
        inside: The part that will be kept.

    Returns:
        The clouded image, and the mask: 0 clear, 1 cloud, 2 shadow.
    """
    heap = fields.fractal("clouds", largest=170, exponent=1.25, smallest=2.5)
    heap = heap + 0.1 * fields.fractal("cloud_fringe", largest=30, exponent=0.8)
    level = float(np.quantile(heap[inside], 1 - share))
    if share >= 1:
        level = float(heap.min()) - 1.0
    thick = np.clip(heap - level, 0, None)
    opacity = ndimage.gaussian_filter(1 - np.exp(-2.6 * thick), 1.5)
    cloud = heap > level
    draw = fields.generator("cloud_height")
    height_px = draw.uniform(700, 1800) / PIXEL_M / np.tan(np.radians(where.sun_elevation))
    azimuth = np.radians(where.sun_azimuth)
    # The shadow lies away from the sun.
    away = (np.cos(azimuth) * height_px, -np.sin(azimuth) * height_px)
    fallen = ndimage.shift(opacity, away, order=1, mode="nearest")
    shade = ndimage.gaussian_filter(fallen, 1.2) * 0.72
    relief = heap - ndimage.shift(heap, (away[0] * 0.05, away[1] * 0.05), order=1, mode="nearest")
    bright = 0.78 + 0.3 * np.clip(relief / (heap.std() * 0.25), -1, 1) + 0.25 * smooth_step(thick, 0, 1.5)
    out = image * (1 - shade * np.array((0.72, 0.8, 0.88, 0.95), np.float64)[:, None, None])
    out = out * (1 - opacity) + opacity * (_WHITE[:, None, None] * bright)
    mask = np.where(cloud, CLOUD, np.where(shade > 0.06, SHADOW, CLEAR)).astype(np.uint8)
    out = np.where(mask == CLEAR, image, out)
    return np.clip(out, 0.0001, 1.2), mask
