"""Which tiles lie on the same ground, whatever their CRS.

Candidates are found on the globe (a tree over the tiles' centres in Earth-centred coordinates, which knows no
seam at 180° and no singular pole), then compared exactly in the CRS of one of the two.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from pyproj import Transformer
from pyproj.exceptions import ProjError
from scipy.spatial import cKDTree

from rsspade.data.manifest import SPLITS, TileRow
from rsspade.data.splits import tile_bounds

__all__ = ["Neighbours", "neighbours_across_splits"]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two tiles near each other: the ground they share, and the gap between them where they share none."""

    first: TileRow
    second: TileRow
    shared_m2: float
    gap_m: float


def neighbours_across_splits(rows: Sequence[TileRow], size_m: float) -> Iterator[Neighbours]:
    """Pairs of tiles of different splits whose outlines overlap or touch (or very nearly).

    Tiles whose CRS is none, or whose place is not on Earth, are passed over.
    """
    centres = _centres_on_globe(rows, size_m)
    placed = np.isfinite(centres).all(axis=1)
    members = {s: [i for i, r in enumerate(rows) if r.split == s and placed[i]] for s in SPLITS}
    trees = {s: cKDTree(centres[m]) for s, m in members.items() if m}
    reach = size_m * np.sqrt(2) * 1.01  # two corners that touch; map scales differ by less than a percent
    for a, b in combinations(trees, 2):
        for i, near in enumerate(trees[a].query_ball_tree(trees[b], reach)):
            for j in near:
                first, second = rows[members[a][i]], rows[members[b][j]]
                shared, gap = _compare(first, second, size_m)
                if shared > 0 or gap < 0.01 * size_m:
                    yield Neighbours(first, second, shared, gap)


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _centres_on_globe(rows: Sequence[TileRow], size_m: float) -> np.ndarray:
    """Centres in metres from the middle of the Earth, (N, 3)."""
    out = np.full((len(rows), 3), np.nan)
    by_crs: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_crs[row.crs].append(i)
    for crs, indices in by_crs.items():
        x = np.array([rows[i].x_min for i in indices]) + size_m / 2
        y = np.array([rows[i].y_max for i in indices]) - size_m / 2
        try:
            lon, lat = _transformer(crs, "EPSG:4326").transform(x, y)
        except ProjError:
            continue
        globe = _transformer("EPSG:4979", "EPSG:4978").transform(lon, lat, np.zeros(len(indices)))
        out[indices] = np.stack(globe, axis=1)
    return out


def _compare(first: TileRow, second: TileRow, size_m: float) -> tuple[float, float]:
    """Shared area in square metres, and the gap in metres (along the worse axis) where there is none."""
    box = tile_bounds(first, size_m)
    west, south, east, north = tile_bounds(second, size_m)
    corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    if second.crs != first.crs:
        # The sides of a tile a few kilometres long stay straight to a millimetre.
        corners = np.stack(_transformer(second.crs, first.crs).transform(corners[:, 0], corners[:, 1]), axis=1)
    shared = _area(_clipped(corners, box))
    gap = max(
        box[0] - corners[:, 0].max(), corners[:, 0].min() - box[2],
        box[1] - corners[:, 1].max(), corners[:, 1].min() - box[3], 0.0,
    )  # fmt: skip
    return shared, float(gap)


def _clipped(polygon: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """A convex polygon cut to an upright box (Sutherland and Hodgman)."""
    for axis, sign, limit in ((0, 1, box[0]), (0, -1, box[2]), (1, 1, box[1]), (1, -1, box[3])):
        inside = sign * (polygon[:, axis] - limit)
        kept: list[np.ndarray] = []
        for i in range(len(polygon)):
            j = (i + 1) % len(polygon)
            if inside[i] >= 0:
                kept.append(polygon[i])
            if inside[i] * inside[j] < 0:
                kept.append(polygon[i] + (polygon[j] - polygon[i]) * inside[i] / (inside[i] - inside[j]))
        if len(kept) < 3:
            return np.empty((0, 2))
        polygon = np.array(kept)
    return polygon


def _area(polygon: np.ndarray) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = (polygon - polygon[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
