"""Plots of land: blocks of parallel strips, as fields lie between tracks and houses between streets.

Land is divided into districts, each with a direction of its own; in a district run rows, and each row is cut
into plots. Everything follows from coordinates and hashes, so a plot is the same whatever is computed around it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from rsspade.world.noise import Field, Fields, hash_unit

__all__ = ["Plots", "make_plots"]


@dataclass(frozen=True, slots=True)
class Plots:
    """Plots of land, all (H, W).

    Attributes:
        label: 0 … N-1, one number per plot.
        ident: N hashes, one per plot.
        edge: Pixels to the nearest side of the plot.
        row_edge: Pixels to the nearest end of the row: where a track or street runs.
        across: Position across the strip in pixels, for sowing lines.
        district: Number of the district.
    """

    label: np.ndarray
    ident: np.ndarray
    edge: Field
    row_edge: Field
    across: Field
    district: np.ndarray

    def mean(self, field: np.ndarray) -> np.ndarray:
        """(N,) mean of a field over each plot."""
        count = np.bincount(self.label.ravel(), minlength=len(self.ident))
        return np.bincount(self.label.ravel(), field.ravel(), minlength=len(self.ident)) / np.maximum(count, 1)

    def draw(self, salt: int) -> np.ndarray:
        """(N,) uniform numbers, one per plot."""
        return hash_unit(self.ident, salt)


def make_plots(fields: Fields, name: str, *, district_px: float, row_px: float, plot_px: float, bend: float) -> Plots:
    """Divide the scene.

    Args:
        fields: Of the scene.
        name: Of the division.
        district_px: Mean distance between district centres.
        row_px: Mean depth of a row.
        plot_px: Mean width of a plot.
        bend: How far lines sway, in pixels.
    """
    height, width = fields.shape
    draw = fields.generator(name)
    salt = int(draw.integers(2**62))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    sway = fields.fractal(name + "_sway_x", largest=110, exponent=1.6) * bend
    sway2 = fields.fractal(name + "_sway_y", largest=110, exponent=1.6) * bend
    district, centre = _districts(y + 3 * sway, x + 3 * sway2, district_px, draw)
    ids = np.arange(len(centre))
    turn = (hash_unit(ids, salt) * np.pi)[district]
    dy, dx = y + sway - centre[district, 0], x + sway2 - centre[district, 1]
    u, v = dx * np.cos(turn) + dy * np.sin(turn), -dx * np.sin(turn) + dy * np.cos(turn)

    depth = (row_px * (0.7 + 0.7 * hash_unit(ids, salt + 1)))[district]
    row, in_row, row_left, row_right = _cut(v / depth, district, salt + 2, 0.25)
    row_id = district * 4096 + (row + 2048)
    breadth = plot_px * (0.55 + 1.1 * hash_unit(row_id, salt + 3) ** 1.3)
    plot, in_plot, left, right = _cut(u / breadth, row_id, salt + 4, 0.36)
    # Every fourth pair of neighbours or so is one field.
    joined = hash_unit(row_id * 4099 + plot // 2, salt + 5) < 0.3
    merged = np.where(joined, (plot // 2) * 2, plot)
    first, second = joined & (plot % 2 == 0), joined & (plot % 2 == 1)
    side = np.minimum(np.where(second, 9.0, in_plot - left), np.where(first, 9.0, right - in_plot)) * breadth
    row_edge = np.minimum(in_row - row_left, row_right - in_row) * depth
    combined = row_id.astype(np.int64) * 65536 + (merged + 32768)
    ident, label = np.unique(combined, return_inverse=True)
    return Plots(
        label=label.reshape(height, width), ident=ident.astype(np.uint64) + np.uint64(salt), edge=np.minimum(side, row_edge),
        row_edge=row_edge, across=u, district=district,
    )  # fmt: skip


def _districts(
    y: np.ndarray, x: np.ndarray, spacing: float, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Voronoi cells of a jittered lattice: number per pixel, centres (N, 2)."""
    rows = np.arange(-2 * spacing, y.shape[0] + 2 * spacing, spacing)
    cols = np.arange(-2 * spacing, y.shape[1] + 2 * spacing, spacing)
    centre = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    centre = (centre + draw.uniform(-0.42, 0.42, centre.shape) * spacing).astype(np.float64)
    number = cKDTree(centre).query(np.stack([y.ravel(), x.ravel()], 1))[1]
    return np.asarray(number).reshape(y.shape), centre


def _cut(
    t: np.ndarray, group: np.ndarray, salt: int, jitter: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut a line at jittered whole numbers: number of the piece, place in it, and where it begins and ends."""
    key = group.astype(np.int64) * 8192 + 4096
    cell = np.floor(t).astype(np.int64)
    place = t - cell

    def cut(n: np.ndarray) -> np.ndarray:
        return (hash_unit(key + n, salt) - 0.5) * 2 * jitter

    begin, end = cut(cell), 1 + cut(cell + 1)
    before, after = place < begin, place >= end
    start = np.where(before, -1 + cut(cell - 1), np.where(after, end, begin))
    stop = np.where(before, begin, np.where(after, 2 + cut(cell + 2), end))
    return cell - before + after, place, start, stop
