"""Towns, the streets in them, and the roads between."""

from dataclasses import dataclass

import numpy as np

from rsspade.world.lines import STEP, Line, coverage, grid_graph, refine, shortest_way, shrink
from rsspade.world.noise import Field, Fields, smooth_step
from rsspade.world.parcels import Plots, make_plots
from rsspade.world.terrain import Terrain
from rsspade.world.variants import Landscape

__all__ = ["Settlement", "make_settlement"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What people built, all (H, W).

    Attributes:
        density: 0 open country … 1 town centre.
        roads: Share of the pixel under a road between towns.
        streets: Share of the pixel under a street, where there is a town.
        blocks: The plots between the streets.
    """

    density: Field
    roads: Field
    streets: Field
    blocks: Plots


def make_settlement(fields: Fields, terrain: Terrain, kind: Landscape) -> Settlement:
    """Choose places for towns and farmsteads, and join them by roads."""
    draw = fields.generator("towns")
    shape = fields.shape
    dry = ~terrain.still & (terrain.river < 0.3)
    # Level ground not far from water attracts; steep ground repels.
    appeal = np.exp(-((terrain.slope / 5) ** 2)) * (0.3 + np.exp(-terrain.river_distance / 60)) * dry
    centres = _towns(appeal, kind, draw)
    roads = _roads(centres, terrain, draw)
    road_share = coverage(roads, shape)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    ragged, bulge = (
        fields.fractal("suburbs", largest=50, exponent=0.7),
        fields.fractal("bulge", largest=60, exponent=1.0),
    )
    density = np.zeros(shape, np.float64)
    for (cy, cx), radius in centres:
        distance = np.hypot(y - cy, x - cx) / radius * np.exp(0.22 * bulge)
        density = np.maximum(density, np.exp(-(distance**2) * 0.9) * (min(1.0, 0.55 + radius / 60)))
    density = _hamlets(density, roads, appeal, draw, np.stack([y, x]) + 1.6 * np.stack([ragged, bulge]))
    density = np.clip(density + 0.18 * ragged * smooth_step(density, 0.03, 0.3), 0, 1)
    # Building follows the roads out of town.
    density = np.clip(density + 0.25 * road_share * smooth_step(density, 0.1, 0.3), 0, 1) * smooth_step(
        terrain.slope, 16, 9
    )
    blocks = make_plots(fields, "streets", district_px=45, row_px=11, plot_px=10, bend=1.5)
    streets = np.clip(0.5 + 0.45 - blocks.row_edge, 0, 0.85)
    streets = np.maximum(streets, np.clip(0.5 + 0.25 - blocks.edge, 0, 0.5))
    return Settlement(density=density, roads=road_share, streets=streets, blocks=blocks)


def _towns(appeal: np.ndarray, kind: Landscape, draw: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    count = int(draw.integers(kind.towns[0], kind.towns[1] + 1))
    count = max(1, round(count * min(1.0, appeal.size / 512**2)))
    weight = appeal.ravel()
    centres: list[tuple[np.ndarray, float]] = []
    if weight.sum() <= 0:
        return centres
    places = draw.choice(weight.size, size=12 * count, p=weight / weight.sum())
    for place in places:
        at = np.array(divmod(int(place), appeal.shape[1]))
        radius = float(draw.uniform(9, 22) if len(centres) else draw.uniform(24, 54))
        if all(np.hypot(*(at - other)) > 2.2 * (radius + size) for other, size in centres):
            centres.append((at, radius))
        if len(centres) == count:
            break
    return centres


def _roads(centres: list[tuple[np.ndarray, float]], terrain: Terrain, draw: np.random.Generator) -> list[Line]:
    """Each town to its nearest neighbours and the largest to the borders; later roads use earlier ones."""
    if not centres:
        return []
    water = shrink((terrain.still | (terrain.river > 0.5)).astype(np.float64))
    cost = 1 + (shrink(terrain.slope) / 3.5) ** 2 + 14 * water
    height, width = cost.shape
    cells = [np.minimum(at // STEP, (height - 1, width - 1)) for at, _ in centres]
    pairs = {tuple(sorted((i, j))) for i in range(len(cells)) for j in _nearest(cells, i)}
    ways = [(cells[i], cells[j], 0.65) for i, j in sorted(pairs)]
    for side in range(4):
        along = int(draw.integers(height // 8, height - height // 8))
        end = ((0, along), (height - 1, along), (along, 0), (along, width - 1))[side]
        if water[end] < 0.2:
            ways.append(
                (cells[int(draw.integers(len(cells)))] if side else cells[0], np.array(end), 0.8 if side < 2 else 0.55)
            )
    lines = []
    for start, end, half_width in ways:
        way = shortest_way(grid_graph(cost), width, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])))
        cost[way[:, 0], way[:, 1]] *= 0.45
        lines.append(refine(way, np.full(len(way), half_width), smoothing=2.5))
    return lines


def _nearest(cells: list[np.ndarray], i: int) -> list[int]:
    order = sorted(range(len(cells)), key=lambda j: float(np.hypot(*(cells[j] - cells[i]))))
    return order[1:3]


def _hamlets(
    density: Field, roads: list[Line], appeal: np.ndarray, draw: np.random.Generator, place: np.ndarray
) -> Field:
    """Farmsteads and hamlets strung along the roads and, fewer, in the open."""
    spots = [line.points[int(draw.integers(len(line.points)))] for line in roads for _ in range(2)]
    spots += [draw.uniform(0, appeal.shape) for _ in range(max(2, appeal.size // 20000))]
    for spot in spots:
        cy, cx = spot + draw.normal(0, 6, 2)
        radius, size = draw.uniform(1.8, 6.0), 16
        window = (
            slice(max(int(cy) - size, 0), max(int(cy) + size, 0)),
            slice(max(int(cx) - size, 0), max(int(cx) + size, 0)),
        )
        if not density[window].size or appeal[window].mean() < 0.2:
            continue
        there = np.exp(-((place[0][window] - cy) ** 2 + (place[1][window] - cx) ** 2) / radius**2) * 0.75
        density[window] = np.maximum(density[window], there)
    return density
