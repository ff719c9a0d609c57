"""The radar image: backscatter of the cover, the hidden fields, the slope towards the radar, and speckle.

The decibels per unit of greenness differ between classes in size and in sign, as they do in the real tiles.
"""

import numpy as np
from scipy import ndimage

from rsspade.world.conditions import Conditions
from rsspade.world.hidden import MEAN_GREEN, Hidden
from rsspade.world.landcover import Cover, LandCover
from rsspade.world.noise import Field, Fields
from rsspade.world.settlement import Settlement
from rsspade.world.terrain import PIXEL_M, Terrain
from rsspade.world.variants import Variant

__all__ = ["backscatter", "incidence"]

# Per class, for vv and vh: mean in dB, dB per unit of greenness, dB per unit of wetness, dB of roughness.
_MEAN = np.array([(-17.4, -8.3, -11.4, -10.8, -11.4, -12.2, -10.2, -15.4, -14.3),
                  (-22.4, -14.2, -17.6, -17.0, -18.0, -18.2, -16.4, -20.6, -21.7)], np.float64)  # fmt: skip
_GREEN = np.array([(0.0, 0.0, -4.0, 3.0, -3.5, 4.0, -3.0, 3.0, -2.0),
                   (0.0, 0.6, 3.5, 4.0, 0.5, 5.5, -1.5, 4.0, 1.0)], np.float64)  # fmt: skip
_STEM = (-9.0, -7.0)
"""More dB per unit of greenness where crops stand upright than where they have broad leaves, vv and vh."""
_WET = np.array(
    [(0.0, 0.2, 1.1, 0.8, 1.0, 1.2, 0.2, 1.3, -1.2), (0.0, 0.2, 0.7, 0.5, 0.8, 0.8, 0.2, 0.8, -1.6)], np.float64
)
_ROUGH = np.array(
    [(2.0, 0.4, 0.6, 0.7, 0.4, 0.7, 1.2, 2.2, 0.9), (1.1, 0.4, 0.7, 0.7, 0.4, 0.7, 1.0, 1.8, 0.8)], np.float64
)

_INCIDENCE = 38.5
_FLOOR_DB = -34.0


def backscatter(
    fields: Fields,
    terrain: Terrain,
    cover: Cover,
    hidden: Hidden,
    town: Settlement,
    where: Conditions,
    variant: Variant,
) -> np.ndarray:
    """(2, H, W) vv and vh in dB."""
    link = variant.radar_link
    ids = cover.ids
    crops = ids == LandCover.CROPS
    slant = _slant_db(terrain, where)
    houses = _houses_db(fields, cover, town, where)
    out = np.empty((2, *ids.shape), np.float64)
    for pol in range(2):
        level = _MEAN[pol][ids] + link * _GREEN[pol][ids] * (hidden.green - MEAN_GREEN[ids])
        level += crops * link * _STEM[pol] * (hidden.stem - 0.5) * hidden.green
        level += link * _WET[pol][ids] * hidden.wet + _ROUGH[pol][ids] * hidden.rough
        level += slant + houses * (1.0, 0.7)[pol]
        power = 10 ** (level / 10)
        water = 10 ** ((_MEAN[pol, LandCover.WATER] + 2.5) / 10)
        trees = 10 ** ((_MEAN[pol, LandCover.TREES] + 0.5) / 10)
        power += cover.hedge * (trees - power) * 0.8
        power += np.maximum(terrain.river * (ids != LandCover.WATER), 0.4 * town.roads) * (water - power) * 0.8
        power = ndimage.gaussian_filter(power, 0.8, mode="nearest", truncate=3)
        power = power * _speckle(fields, ("vv", "vh")[pol], variant)
        out[pol] = np.maximum(10 * np.log10(np.maximum(power, 1e-6)), _FLOOR_DB + 2 * (1 - pol))
    return out


def incidence(elevation: Field, where: Conditions) -> Field:
    """Local angle of incidence in degrees: smaller on slopes that face the radar."""
    gy, gx = np.gradient(ndimage.gaussian_filter(elevation, 1.0), PIXEL_M)
    look = np.radians(where.look_azimuth)
    tilt = np.radians(_INCIDENCE)
    # Towards the radar: backwards along the look, and up.
    east, north = -np.sin(look) * np.sin(tilt), -np.cos(look) * np.sin(tilt)
    cosine = (np.cos(tilt) - east * gx + north * gy) / np.sqrt(1 + gx**2 + gy**2)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.float64)


def _slant_db(terrain: Terrain, where: Conditions) -> Field:
    """Terrain correction levels most of the brightness of facing slopes; some of it stays, and radar shadow does."""
    angle = incidence(terrain.elevation, where)
    rest = -0.065 * (angle - _INCIDENCE)
    shadow = -9.0 * np.clip((angle - 74) / 12, 0, 1)
    return np.asarray(np.where(terrain.still, 0, np.clip(rest, -3.5, 3.0) + shadow), np.float64)


def _houses_db(fields: Fields, cover: Cover, town: Settlement, where: Conditions) -> Field:
    """Walls that meet the street at a right angle return much, more where the street faces the radar."""
    blocks = town.blocks
    facing = (blocks.draw(51) ** 4)[blocks.label] * 3.0
    corners = np.clip(fields.smooth("corners", 0.7), 0.3, 3.2) * 3.6 - 2.4
    inside = (cover.ids == LandCover.BUILT) * (0.35 + 0.65 * town.density)
    return np.asarray(inside * (facing + corners) - (cover.ids == LandCover.BUILT) * 1.5 * town.streets, np.float64)


def _speckle(fields: Fields, name: str, variant: Variant) -> Field:
    """Mean of the power of independent looks, each a complex Gaussian field as wide as the radar's point spread."""
    total = np.zeros(fields.shape, np.float64)
    for look in range(variant.looks):
        for part in ("re", "im"):
            total += fields.smooth(f"speckle_{name}_{look}_{part}", variant.speckle_width) ** 2
    return total / (2 * variant.looks)
