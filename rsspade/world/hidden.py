"""What lies behind the pictures: how green and how wet each place is, seen by radar and by optics, each in its way."""

from dataclasses import dataclass

import numpy as np

from rsspade.world.conditions import Conditions
from rsspade.world.landcover import Cover, LandCover
from rsspade.world.noise import Field, Fields
from rsspade.world.parcels import Plots
from rsspade.world.settlement import Settlement
from rsspade.world.terrain import Terrain

__all__ = ["MEAN_GREEN", "Hidden", "make_hidden"]

# Mean and spread of greenness per class; crops follow the calendar instead. For water it stands for sediment, for
# snow for freshness.
MEAN_GREEN = np.array([0.30, 0.52, 0.52, 0.55, 0.42, 0.45, 0.50, 0.35, 0.58], np.float64)
_SPREAD = np.array([0.16, 0.17, 0.25, 0.20, 0.10, 0.20, 0.14, 0.24, 0.20], np.float64)

# Crops: day of greatest green, and half the length of the green time.
_CROPS = np.array([(128, 42), (150, 38), (212, 46), (235, 52), (180, 400), (180, 1)], np.float64)
_UPRIGHT = 2
"""The first two are cereals."""
_SHARES = (0.30, 0.45, 0.68, 0.82, 0.92, 1.0)


@dataclass(frozen=True, slots=True)
class Hidden:
    """All (H, W).

    Attributes:
        green: 0 bare … 1 dense green.
        wet: About -2 dry … 2 wet.
        bright: Deviation of the ground's brightness, plot by plot.
        stem: 1 where the crop stands in upright stems, which dim vv; 0 where it has broad leaves, which brighten it.
        rough: Deviation of the surface's roughness; radar sees it. On wild land it goes with darker ground.
    """

    green: Field
    wet: Field
    bright: Field
    stem: Field
    rough: Field


def make_hidden(fields: Fields, cover: Cover, terrain: Terrain, town: Settlement, where: Conditions) -> Hidden:
    """Draw the hidden state of the vegetation and the ground."""
    plots, ids = cover.fields, cover.ids
    broad = fields.fractal("green_broad", largest=110, exponent=0.9)
    patchy = fields.fractal("green_patchy", largest=20, exponent=0.5)
    season = 0.12 * np.cos(2 * np.pi * (where.day - 165) / 365.25)
    fine = fields.fractal("green_fine", largest=7, exponent=0.4, smallest=3)
    vigour = 0.75 * broad + 0.55 * patchy + 0.35 * fine
    green = MEAN_GREEN[ids] + _SPREAD[ids] * vigour
    plant = (ids != LandCover.WATER) & (ids != LandCover.SNOW) & (ids != LandCover.BUILT)
    green = green + np.where(plant, season + 0.5 * (where.moisture - 0.5), 0)
    tended = cover.farmed & (ids == LandCover.GRASS)
    green = green + np.where(tended, (0.75 * (plots.draw(43) - 0.5))[plots.label], 0)
    green = np.where(ids == LandCover.CROPS, _crop_green(cover, where, vigour), green)
    # Gardens thin out towards the centre of a town.
    green = np.where(ids == LandCover.BUILT, 0.95 - 0.55 * town.density + 0.18 * vigour + _blocks(town), green)
    shallow = np.exp(-terrain.depth_m / 4) * 0.45
    green = np.where(
        ids == LandCover.WATER, green * where.turbid + shallow * where.turbid * np.clip(1 + 0.5 * broad, 0, 2), green
    )

    damp = fields.fractal("wet", largest=160, exponent=1.0)
    wet = (
        0.75 * damp + 0.25 * terrain.hollow + 1.6 * (where.moisture - 0.5) + 0.5 * np.exp(-terrain.river_distance / 10)
    )
    irrigated = plots.draw(44)
    wet = wet + np.where(cover.farmed, np.where(irrigated > 0.85, 1.0, 0.5 * (irrigated - 0.42))[plots.label], 0)
    bright = np.where(
        cover.farmed,
        2.4 * (plots.draw(45) - 0.5)[plots.label],
        0.8 * fields.fractal("bright", largest=90, exponent=0.7),
    )
    stem = (_crop(plots) < _UPRIGHT).astype(np.float64)[plots.label]
    # In the wild, smooth ground (sand, silt, fresh scree) is bright, and rough ground (rock, old scree) dark.
    uneven = 0.5 * fields.fractal("rough", largest=60, exponent=0.9) - 0.8 * bright
    rough = np.where(cover.farmed, 2.4 * (plots.draw(46) - 0.5)[plots.label], uneven)
    return Hidden(
        green=np.clip(green, 0, 1), wet=np.clip(wet, -2, 2),
        bright=bright, stem=stem, rough=rough,
    )  # fmt: skip


def _crop_green(cover: Cover, where: Conditions, vigour: np.ndarray) -> np.ndarray:
    """Each plot has a crop, each crop its calendar; plots of one crop differ by some weeks."""
    plots = cover.fields
    crop = _crop(plots)
    peak, length = _CROPS[crop, 0] + 26 * (plots.draw(42) - 0.5), _CROPS[crop, 1]
    stage = np.exp(-(np.abs((where.day - peak) / length) ** 2.5))
    level = 0.08 + 0.84 * stage + 0.14 * (plots.draw(47) - 0.5)
    return np.asarray(level[plots.label] + 0.075 * vigour)


def _crop(plots: Plots) -> np.ndarray:
    """(N,) which crop each plot bears."""
    return np.searchsorted(_SHARES, plots.draw(41)).clip(max=len(_CROPS) - 1)


def _blocks(town: Settlement) -> np.ndarray:
    """Town blocks differ in how much garden they have."""
    return np.asarray((0.7 * (town.blocks.draw(48) - 0.5))[town.blocks.label])
