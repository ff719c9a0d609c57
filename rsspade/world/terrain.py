"""Relief with valleys, and the water in them.

A fractal surface is drained over a coarse grid: the cheapest ways from the lowest border cells to everywhere, low
ground being cheap, form a tree that runs along the valley floors. Where enough of the tree flows together there is
a river; the valley is then cut down to its bed. Lakes fill what lies behind a sill, the sea what lies below zero.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import csgraph

from rsspade.world.lines import Line, coverage, grid_graph, refine, shrink
from rsspade.world.noise import Field, Fields, smooth_step
from rsspade.world.variants import Landscape

__all__ = ["PIXEL_M", "Terrain", "make_terrain", "measured_elevation"]

PIXEL_M = 10.0


@dataclass(frozen=True, slots=True)
class Terrain:
    """The lie of the land, all (H, W).

    Attributes:
        elevation: True heights in metres; water surfaces are level.
        slope: Degrees, of the land seen over some 50 m.
        river: Share of the pixel that is river.
        still: Where lake or sea is.
        sea: Where the sea is.
        depth_m: Of the water, rough.
        river_distance: Pixels to the nearest river.
        water_distance: Pixels to the nearest open water.
        hollow: How much lower than its surroundings a place lies, in standard deviations; positive in valleys.
    """

    elevation: Field
    slope: Field
    river: Field
    still: np.ndarray
    sea: np.ndarray
    depth_m: Field
    river_distance: Field
    water_distance: Field
    hollow: Field


def make_terrain(fields: Fields, kind: Landscape, relief_exponent: float) -> Terrain:
    """Draw the relief of a scene and let water shape it."""
    draw = fields.generator("terrain")
    raw = _raw_relief(fields, kind, relief_exponent, draw)
    drainage = _drain(raw, fields)
    raw = _dissect(raw, drainage, kind)
    sway = shrink(fields.fractal("meanders", largest=22, exponent=0.6)) * 3.0
    rivers = _trace(drainage, draw.uniform(500, 1100), sway)
    river = coverage(rivers, raw.shape)
    carved, river_distance = _carve(raw, river, draw.uniform(14, 30))
    sea = np.zeros(raw.shape, bool)
    if kind.sea:
        labels, _ = ndimage.label(carved < 0)
        sizes = np.bincount(labels.ravel())
        sea = (labels > 0) & (sizes[labels] > 400)
    still = sea | _lakes(carved, river, kind, fields, draw)
    surface = carved.copy()
    surface[sea] = 0.0
    labels, count = ndimage.label(still & ~sea)
    if count:
        levels = ndimage.median(carved, labels, np.arange(1, count + 1))
        surface[labels > 0] = np.asarray(levels, np.float64)[labels[labels > 0] - 1]
    depth = np.where(still, surface - carved + 0.5, river * 1.5)
    wide = ndimage.gaussian_filter(surface, 2.5)
    gy, gx = np.gradient(wide, PIXEL_M)
    water = still | (river > 0.5)
    away = ndimage.distance_transform_edt(~water) if water.any() else np.full(raw.shape, 999, "f8")
    around = ndimage.uniform_filter(surface, 61) - wide
    return Terrain(
        elevation=surface, slope=np.degrees(np.arctan(np.hypot(gx, gy))),
        river=np.where(still, 0, river), still=still, sea=sea, depth_m=depth,
        river_distance=river_distance, water_distance=away,
        hollow=(around / (around.std() + 1e-3)),
    )  # fmt: skip


def measured_elevation(terrain: Terrain, fields: Fields) -> Field:
    """What a 30 m product knows of the relief, brought back to 10 m by cubic interpolation."""
    seen = ndimage.gaussian_filter(terrain.elevation, 1.3, mode="nearest")
    coarse = seen[1::3, 1::3]
    error = fields.fractal("dem_error", largest=60, exponent=0.5)[1::3, 1::3] * 0.35
    flat = terrain.still[1::3, 1::3]
    coarse = coarse + np.where(flat, 0, error)
    y, x = np.meshgrid(*((np.arange(n, dtype=np.float64) - 1) / 3 for n in seen.shape), indexing="ij")
    return ndimage.map_coordinates(coarse, [y, x], order=3, mode="nearest")


def _raw_relief(fields: Fields, kind: Landscape, exponent: float, draw: np.random.Generator) -> Field:
    """The fractal surface before water works on it, in metres."""
    longest = draw.uniform(*kind.wavelength)
    shape = fields.fractal("relief", largest=longest, exponent=exponent, smallest=3)
    if kind.ridged:
        # Folding noise at zero makes crests; many small folds on the flanks of few large ones.
        folds = 1 - np.abs(fields.fractal("crests", largest=longest / 1.6, exponent=exponent, smallest=6))
        small = 1 - np.abs(fields.fractal("spurs", largest=longest / 5, exponent=exponent * 0.9, smallest=4))
        shape = 0.55 * shape + 0.65 * folds + 0.16 * small * smooth_step(shape + folds, -1.0, 1.5)
        shape = (shape - shape.mean()) / shape.std()
    else:
        # Plateaus above, wide floors below.
        shape = np.tanh(shape * 0.8) * 1.3
    height, width = fields.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    towards = draw.uniform(0, 2 * np.pi)
    # A scene of 512 px spans the whole tilt; a smaller one its share.
    ramp = ((x - width / 2) * np.cos(towards) + (y - height / 2) * np.sin(towards)) / 512.0
    out = draw.uniform(*kind.base_m) + draw.uniform(*kind.relief_m) * shape + draw.uniform(*kind.tilt_m) * ramp
    if kind.sea:
        # Some 30 to 45 % of the scene lies under the sea.
        out = out - np.quantile(out, draw.uniform(0.28, 0.45))
    return np.asarray(out, np.float64)


@dataclass(frozen=True, slots=True)
class _Drainage:
    """Per cell of the coarse grid, as one long array: how many cells flow through it, and where to."""

    flow: np.ndarray
    downstream: np.ndarray
    width: int


def _drain(raw: Field, fields: Fields) -> _Drainage:
    """Let every place drain by its cheapest way to the low parts of the border, or to the sea."""
    low = shrink(raw)
    rank = ((low - low.min()) / (np.ptp(low) + 1e-9)).clip(0, 1)
    wiggle = shrink(fields.fractal("drainage", largest=60, exponent=1.0))
    cost = (0.06 + rank) ** 2 * np.exp(0.35 * wiggle)
    border = np.zeros(low.shape, bool)
    border[[0, -1]], border[:, [0, -1]] = True, True
    outlets = np.flatnonzero((border & (rank <= np.quantile(rank[border], 0.08))).ravel())
    if (raw < 0).any():
        outlets = np.union1d(outlets, np.flatnonzero((low < 0).ravel()))
    distance, before, _ = csgraph.dijkstra(
        grid_graph(cost), directed=False, indices=outlets, return_predecessors=True, min_only=True
    )
    downstream, order = before.tolist(), np.argsort(-distance, kind="stable").tolist()
    total = [1] * low.size
    for node in order:  # coarse cells, some 20 thousand: upstream first
        if downstream[node] >= 0:
            total[downstream[node]] += total[node]
    return _Drainage(np.asarray(total, np.float64), before, low.shape[1])


def _dissect(raw: Field, drainage: _Drainage, kind: Landscape) -> Field:
    """Lower the land the more, the more water runs over it: side valleys down to gullies."""
    cut = np.log(drainage.flow).reshape(-1, drainage.width)
    cut = 0.6 * ndimage.gaussian_filter(cut, 0.8) + 0.9 * ndimage.gaussian_filter(cut, 2.2)
    factors = [n / m for n, m in zip(raw.shape, cut.shape, strict=True)]
    fine = ndimage.zoom(cut, factors, order=3, mode="nearest", grid_mode=True)[: raw.shape[0], : raw.shape[1]]
    # Not at the shore, where it would cut the coast to shreds; less where crests have cut the land already.
    depth = (0.13 if kind.ridged else 0.2) * raw.std() * (np.clip(raw / 15, 0, 1) if kind.sea else 1.0)
    return np.asarray(raw - depth * (fine - fine.mean()))


def _trace(drainage: _Drainage, threshold: float, sway: np.ndarray) -> list[Line]:
    """Follow each river from its springs down to the river it meets."""
    flow, before = drainage.flow, drainage.downstream
    wet = flow > threshold
    has_upstream = np.zeros(flow.size, bool)
    has_upstream[before[wet & (before >= 0)]] = True
    springs = np.flatnonzero(wet & ~has_upstream)
    seen = np.zeros(flow.size, bool)
    lines = []
    for spring in springs[np.argsort(-flow[springs], kind="stable")]:
        way = [int(spring)]
        while before[way[-1]] >= 0 and not seen[way[-1]]:
            seen[way[-1]] = True
            way.append(int(before[way[-1]]))
        seen[way[-1]] = True
        if len(way) < 8:
            continue
        cells = np.stack(np.divmod(np.array(way), drainage.width), axis=1)
        half_width = np.minimum(0.35 + 0.42 * np.sqrt(np.maximum(flow[way] / threshold - 0.8, 0)), 4.0)
        half_width = ndimage.gaussian_filter1d(half_width, 2.0)
        lines.append(refine(cells, half_width, smoothing=2.0, sway=sway))
    return lines


def _carve(raw: Field, river: Field, valley_px: float) -> tuple[Field, Field]:
    """Cut valleys down to the river beds."""
    bed = river > 0.3
    if not bed.any():
        return raw, np.full(raw.shape, 999, np.float64)
    distance, nearest = ndimage.distance_transform_edt(~bed, return_indices=True)
    floor = ndimage.minimum_filter(ndimage.gaussian_filter(raw, 4.0), 9)[tuple(nearest)]
    floor = ndimage.gaussian_filter(floor, 5.0)
    near = np.exp(-((distance / valley_px) ** 1.5))
    carved = raw * (1 - near) + np.minimum(floor + 0.02 * distance, raw + 3) * near
    # A meadow beside the river: level, then rising.
    return ndimage.gaussian_filter(carved, 0.7), distance


def _lakes(carved: Field, river: Field, kind: Landscape, fields: Fields, draw: np.random.Generator) -> np.ndarray:
    """Raise the water behind a sill until it stands over some of the land around."""
    out = np.zeros(carved.shape, bool)
    count = int(draw.integers(kind.lakes[0], kind.lakes[1] + 1))
    places = np.argwhere(river > 0.4)
    if not len(places):
        return out
    bend = fields.fractal("shores", largest=60, exponent=1.2) * 14
    calm = ndimage.gaussian_filter(carved, 2.0)
    y, x = np.ogrid[: carved.shape[0], : carved.shape[1]]
    for _ in range(count):
        cy, cx = places[int(draw.integers(len(places)))]
        reach = draw.uniform(22, 60)
        near = np.hypot(y - cy, x - cx) + bend < reach
        if not near.any():
            continue
        level = min(float(np.quantile(calm[near], draw.uniform(0.25, 0.5))), float(calm[near].min()) + 10.0)
        labels, _ = ndimage.label(near & (calm < level))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        if sizes.max(initial=0) > 150:
            out |= ndimage.binary_opening(labels == sizes.argmax(), iterations=2)
    return out
