"""Lines in the landscape: cheapest ways over a coarse grid, smoothed, and drawn with a width below a pixel."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from rsspade.world.noise import Field

__all__ = ["Line", "coverage", "grid_graph", "refine", "shortest_way", "shrink"]

STEP = 4
"""Pixels per cell of the coarse grid on which ways are sought."""


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline, densely sampled.

    Attributes:
        points: (N, 2) row and column in pixels.
        half_width: (N,) pixels.
    """

    points: np.ndarray
    half_width: np.ndarray


def shrink(field: np.ndarray) -> np.ndarray:
    """Mean over STEP×STEP blocks (a rest at the border is left out)."""
    h, w = field.shape[0] // STEP, field.shape[1] // STEP
    return np.asarray(field[: h * STEP, : w * STEP].reshape(h, STEP, w, STEP).mean((1, 3)))


def grid_graph(cost: np.ndarray) -> sparse.csr_array:
    """A grid as a graph: 8 neighbours, each edge as dear as its length times the mean cost of its ends."""
    height, width = cost.shape
    index = np.arange(height * width).reshape(height, width)
    rows, cols, weights = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0)))
        b = (slice(dy, height), slice(max(dx, 0), width - max(-dx, 0)))
        rows.append(index[a].ravel())
        cols.append(index[b].ravel())
        weights.append(((cost[a] + cost[b]) / 2 * np.hypot(dy, dx)).ravel())
    return sparse.csr_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(cols))), shape=(index.size, index.size)
    )


def shortest_way(graph: sparse.csr_array, width: int, start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """The cheapest way between two cells, (N, 2) cells."""
    source, node = start[0] * width + start[1], end[0] * width + end[1]
    _, before = csgraph.dijkstra(graph, directed=False, indices=[source], return_predecessors=True)
    back = before[0].tolist()
    nodes = [node]
    while node != source and back[node] >= 0:
        node = back[node]
        nodes.append(node)
    return np.stack(np.divmod(np.array(nodes), width), axis=1)


def refine(cells: np.ndarray, half_width: np.ndarray, *, smoothing: float, sway: np.ndarray | None = None) -> Line:
    """A way in coarse cells -> a smooth line in pixels, two points per pixel; `sway` moves it sideways (pixels)."""
    centre = cells * STEP + (STEP - 1) / 2
    if len(centre) > 2:
        smooth = ndimage.gaussian_filter1d(centre.astype(float), smoothing, axis=0, mode="nearest")
        # The ends stay where other lines meet them.
        at_end = np.exp(-np.minimum(np.arange(len(centre)), np.arange(len(centre))[::-1]) / max(smoothing, 0.5))[
            :, None
        ]
        smooth = smooth * (1 - at_end) + centre * at_end
        if sway is not None:
            along = np.gradient(smooth, axis=0)
            side = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
            shift = ndimage.gaussian_filter1d(sway[cells[:, 0], cells[:, 1]], 1.0)[:, None]
            smooth = smooth + side * shift * (1 - at_end)
        centre = smooth
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centre, axis=0), axis=1))])
    fine = np.linspace(0, length[-1], max(int(length[-1] * 2), 2))
    points = np.stack([np.interp(fine, length, centre[:, 0]), np.interp(fine, length, centre[:, 1])], axis=1)
    return Line(points, np.interp(fine, length, half_width))


def coverage(lines: list[Line], shape: tuple[int, int]) -> Field:
    """The share of each pixel that lies on a line, 0..1."""
    out = np.zeros(shape, np.float64)
    if not lines:
        return out
    points = np.concatenate([line.points for line in lines])
    half_width = np.concatenate([line.half_width for line in lines])
    nearest = np.rint(points).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(shape))).all(axis=1)
    seeds = np.zeros(shape, bool)
    seeds[tuple(nearest[inside].T)] = True
    reach = int(np.ceil(half_width.max())) + 1
    near = np.argwhere(ndimage.distance_transform_edt(~seeds) <= reach + 1)
    found_at = cKDTree(points).query(near, distance_upper_bound=reach + 1.0)
    distance, which = np.asarray(found_at[0]), np.asarray(found_at[1])
    found = np.isfinite(distance)
    near, distance, which = near[found], distance[found], which[found]
    share = np.clip(0.5 + half_width[which] - distance, 0, np.minimum(1, 2 * half_width[which]))
    out[tuple(near.T)] = share
    return out
