"""Per-band statistics, gathered tile by tile and summed over the train split.

Each tile yields plain sums; they are added with exact summation in the order of tile names, so that the
number of workers cannot change a digit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsspade.sources import Source

__all__ = ["TileStatistics", "combine_statistics", "tile_statistics"]

TileStatistics = dict[str, Any]
"""Band -> [count, sum, sum of squares, min, max], or class id (as text) -> pixels: JSON as it is."""


def tile_statistics(values: np.ndarray, source: Source) -> TileStatistics:
    """The sums of one tile; pixels without data are left out."""
    if source.is_categorical:
        ids, counts = np.unique(values, return_counts=True)
        return {str(int(i)): int(n) for i, n in zip(ids, counts, strict=True)}
    sums: TileStatistics = {}
    for band, plane in zip(source.band_names, values, strict=True):
        good = plane[np.isfinite(plane)].astype(np.float64)
        sums[band] = (
            [len(good), float(good.sum()), float((good**2).sum()), float(good.min()), float(good.max())]
            if len(good)
            else [0, 0.0, 0.0, None, None]
        )
    return sums


def combine_statistics(tiles: Sequence[Mapping[str, TileStatistics]]) -> dict[str, Any]:
    """Sum over tiles: folder -> band -> count, mean, std, min, max; or folder -> class id -> pixels."""
    out: dict[str, Any] = {}
    for folder in sorted({f for tile in tiles for f in tile}):
        parts = [tile[folder] for tile in tiles if folder in tile]
        entry: dict[str, Any] = {}
        for key in dict.fromkeys(k for part in parts for k in part):
            values = [part[key] for part in parts if key in part]
            if isinstance(values[0], int):
                entry[key] = sum(values)
                continue
            values = [v for v in values if v[0] > 0]
            count = sum(v[0] for v in values)
            if count == 0:
                continue
            mean = math.fsum(v[1] for v in values) / count
            variance = max(math.fsum(v[2] for v in values) / count - mean**2, 0.0)
            entry[key] = {
                "count": count, "mean": float(f"{mean:.8g}"), "std": float(f"{math.sqrt(variance):.8g}"),
                "min": min(v[3] for v in values), "max": max(v[4] for v in values),
            }  # fmt: skip
        if all(isinstance(v, int) for v in entry.values()):
            entry = {k: entry[k] for k in sorted(entry, key=int)}
        out[folder] = entry
    return out
