"""What covers the land: nine Dynamic World classes from relief, climate, water, fields and towns.

The map that a dataset stores is a product, made from the true cover: it leaves out what is narrower than about
two pixels and places borders to about a pixel, as maps made from images do.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import ndimage, special

from rsspade.world.conditions import Conditions
from rsspade.world.noise import Field, Fields, smooth_step
from rsspade.world.parcels import Plots, make_plots
from rsspade.world.settlement import Settlement
from rsspade.world.terrain import Terrain

__all__ = ["Cover", "LandCover", "make_cover", "mapped_cover"]


class LandCover(IntEnum):
    """Dynamic World ids."""

    WATER = 0
    TREES = 1
    GRASS = 2
    FLOODED = 3
    CROPS = 4
    SHRUB = 5
    BUILT = 6
    BARE = 7
    SNOW = 8


@dataclass(frozen=True, slots=True)
class Cover:
    """The true cover.

    Attributes:
        ids: (H, W) class of the pixel, lines left out.
        fields: The plots of land.
        farmed: (H, W) where a plot is in use.
        sand: (H, W) where the bare ground is beach.
        hedge: (H, W) share of the pixel under a hedge or row of trees.
        track: (H, W) share of the pixel under a farm track.
    """

    ids: np.ndarray
    fields: Plots
    farmed: np.ndarray
    sand: np.ndarray
    hedge: Field
    track: Field


def make_cover(fields: Fields, terrain: Terrain, town: Settlement, where: Conditions) -> Cover:
    """Decide the class of each pixel; what is written later wins."""
    noise = fields.fractal("cover", largest=130, exponent=0.9)
    fine = fields.fractal("cover_fine", largest=24, exponent=0.4)
    temperature = where.temperature - 0.0065 * terrain.elevation + 0.7 * noise + 0.35 * fine
    near_river = np.exp(-terrain.river_distance / 18)
    moisture = where.moisture + 0.22 * near_river + 0.05 * terrain.hollow + 0.07 * noise
    ids, forest = _wild(fields, terrain, where, temperature, moisture)
    size = float(fields.generator("field_size").uniform(*where.kind.field_px))
    plots = make_plots(fields, "fields", district_px=150, row_px=3.0 * size, plot_px=size, bend=2.5)
    ids, farmed = _farm(ids, plots, terrain, where, forest, fields)
    shore = fine + 0.6 * noise
    riparian = (terrain.water_distance < 2.5 + 1.5 * shore) & (terrain.slope < 20) & (moisture > 0.3) & ~terrain.sea
    ids[riparian & (temperature > 4) & (shore > -0.2) & _far_from(terrain.sea, 12)] = LandCover.TREES
    marsh = (
        moisture
        + 0.25 * noise
        + 0.2 * np.exp(-terrain.water_distance / 15)
        + 0.06 * terrain.hollow
        - terrain.slope / 12
    )
    ids[(marsh > 1.12) & (temperature > 2)] = LandCover.FLOODED
    sand = np.zeros(fields.shape, bool)
    if terrain.sea.any():
        beach = ndimage.distance_transform_edt(~terrain.sea) < 2.0 + 2.2 * (noise + 0.5) + fine * 0.6
        sand = beach & (terrain.slope < 6) & ~terrain.sea
        ids[sand] = LandCover.BARE
    gravel = (terrain.river_distance < 1.5 + shore) & (terrain.slope > 5) & (noise > 0.4)
    ids[gravel] = LandCover.BARE
    ids[(town.density > 0.3) & (temperature > 0)] = LandCover.BUILT
    ids[terrain.still | (terrain.river > 0.55)] = LandCover.WATER
    farmed &= np.isin(ids, (LandCover.CROPS, LandCover.GRASS))
    hedged = (plots.draw(31) < 0.1 + 0.5 * where.forest)[plots.label] & farmed
    hedge = np.clip(0.5 + 0.45 - plots.edge, 0, 0.85) * hedged * (0.35 + 0.65 * (fine > -0.3))
    track = np.clip(0.5 + 0.2 - plots.row_edge, 0, 0.55) * farmed * (plots.draw(32) < 0.7)[plots.label]
    return Cover(ids, plots, farmed, sand, hedge, track)


def mapped_cover(cover: Cover, fields: Fields) -> np.ndarray:
    """The class map as a product has it: small things swallowed, borders off by up to about a pixel."""
    off = [fields.fractal(f"border_{axis}", largest=14, exponent=0.5) * 0.5 for axis in "yx"]
    y, x = np.mgrid[: fields.shape[0], : fields.shape[1]].astype(np.float64)
    moved = ndimage.map_coordinates(cover.ids, [y + off[0], x + off[1]], order=0, mode="nearest")
    best, out = np.full(fields.shape, -1.0, np.float64), moved.copy()
    for cls in np.unique(moved):
        share = ndimage.gaussian_filter((moved == cls).astype(np.float64), 0.9)
        wins = share > best + 1e-9  # a tie is a tie on every processor
        best[wins], out[wins] = share[wins], cls
    return out


def _far_from(mask: np.ndarray, pixels: float) -> np.ndarray:
    if not mask.any():
        return np.ones(mask.shape, bool)
    return np.asarray(ndimage.distance_transform_edt(~mask) > pixels)


def _share(noise: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Where a standard normal field lies in its upper `share`."""
    return np.asarray(noise > -special.ndtri(np.clip(share, 1e-4, 1 - 1e-4)))


def _wild(
    fields: Fields, terrain: Terrain, where: Conditions, temperature: np.ndarray, moisture: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Land without people: grass, shrub, forest, rock and snow; and how much it wants to be forest."""
    stands = fields.fractal("stands", largest=140, exponent=0.75, smallest=2.5)
    patches = fields.fractal("patches", largest=90, exponent=0.6)
    stones = fields.fractal("stones", largest=90, exponent=0.7)
    forest = stands + special.ndtri(where.forest) + 0.05 * np.clip(terrain.slope - 4, 0, 20) + 2.5 * (moisture - 0.5)
    ids = np.full(fields.shape, LandCover.GRASS, np.uint8)
    ids[_share(patches, 0.75 - 1.15 * moisture)] = LandCover.SHRUB
    ids[(forest > 0) & (moisture > 0.12)] = LandCover.TREES
    # Towards the tree line the forest opens into shrub, then alpine meadow.
    ids[(temperature < 4.5) & (forest > 0)] = LandCover.SHRUB
    ids[(temperature < 3.2) & (ids == LandCover.SHRUB)] = LandCover.GRASS
    dry = np.clip(1.25 - 4.5 * moisture, 0, 0.9)
    cold = smooth_step(temperature, 2.5, -1.0) * 0.8
    steep = smooth_step(terrain.slope + 3 * stones, 36, 50)
    ids[_share(stones, np.maximum(np.maximum(dry, cold), steep))] = LandCover.BARE
    snow_line = 3.4 - 1.5 * np.cos(2 * np.pi * (where.day - 215) / 365.25)
    warmth = temperature + 0.09 * np.clip(terrain.slope - 28, 0, 40) - 0.25 * terrain.hollow
    if where.landscape == "mountains":
        # Every mountain scene has some snow and none drowns in it: few scenes share out a class evenly by luck.
        snow_line = float(np.clip(snow_line, *np.quantile(warmth, (0.06, 0.2))))
    ids[warmth < snow_line] = LandCover.SNOW
    return ids, forest


def _farm(
    ids: np.ndarray, plots: Plots, terrain: Terrain, where: Conditions, forest: np.ndarray, fields: Fields
) -> tuple[np.ndarray, np.ndarray]:
    """Whole plots are farmed or left; a farmed plot is cropland, pasture or a wood."""
    appeal = fields.fractal("farming", largest=200, exponent=1.0) - 0.35 * np.clip(forest, -1, 2)
    score = special.ndtri(np.clip(where.arable, 0.02, 0.95)) + plots.mean(appeal)
    score -= np.clip(plots.mean(terrain.slope) - 3, 0, 30) * 0.22
    score -= np.clip(8 - where.temperature + 0.0065 * plots.mean(terrain.elevation), 0, 20) * 0.4
    farmed = score + 1.4 * (plots.draw(21) - 0.5) > 0
    use = plots.draw(22)
    pasture = 0.12 + 0.3 * where.moisture * smooth_step(plots.mean(terrain.slope), 1, 7)
    kind = np.where(use < pasture, LandCover.GRASS, np.where(use > 0.965, LandCover.TREES, LandCover.CROPS))
    on_farm = farmed[plots.label]
    out = np.where(on_farm, kind[plots.label], ids).astype(np.uint8)
    return out, on_farm
