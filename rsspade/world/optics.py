"""The optical image: spectra of the cover, light on the relief, air, and the sensor.

`render` makes two images of one landscape: the one that Sentinel-2 would bring home, and the best possible answer
(the oracle), which knows every hidden field but not the fine texture, the scene's gain and haze, and the noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rsspade.world.conditions import Conditions
from rsspade.world.hidden import Hidden
from rsspade.world.landcover import Cover, LandCover
from rsspade.world.noise import Field, Fields, smooth_step
from rsspade.world.settlement import Settlement
from rsspade.world.terrain import PIXEL_M, Terrain
from rsspade.world.variants import Variant

__all__ = ["render", "sunlight"]

# Reflectance in blue, green, red, nir of each class where it is bare, dry, sparse, and where it is green and dense
# (water: clear, turbid; built: sealed, gardens; snow: old, fresh). Between them, class means and spreads come out as
# in the table of the real tiles.
_BARE = np.array([
    (.022, .032, .020, .014), (.030, .044, .040, .160), (.066, .090, .106, .160), (.030, .042, .036, .060),
    (.062, .088, .112, .150), (.092, .124, .158, .225), (.085, .095, .107, .160), (.138, .178, .218, .275),
    (.40, .37, .36, .33),
], np.float64)  # fmt: skip
_DENSE = np.array([
    (.055, .085, .072, .040), (.014, .031, .016, .328), (.020, .052, .027, .385), (.026, .050, .034, .290),
    (.018, .052, .024, .435), (.030, .052, .044, .250), (.030, .050, .042, .240), (.085, .112, .128, .235),
    (.86, .84, .83, .78),
], np.float64)  # fmt: skip
_SAND = np.array((0.240, 0.292, 0.325, 0.375), np.float64)
_ROAD = np.array((0.095, 0.105, 0.115, 0.165), np.float64)
_TRACK = np.array((0.090, 0.118, 0.142, 0.215), np.float64)
_ROOF = np.array((0.26, 0.25, 0.27, 0.30), np.float64)
_FOAM = np.array((0.30, 0.32, 0.30, 0.28), np.float64)

# How much the ground's own brightness and wetness show, and the fine texture that nothing else tells.
_GROUND = np.array([0.10, 0.05, 0.08, 0.08, 0.13, 0.11, 0.10, 0.22, 0.10], np.float64)
_DARKENS = np.array([0.00, 0.03, 0.06, 0.12, 0.13, 0.08, 0.03, 0.12, 0.02], np.float64)
_TEXTURE = np.array([0.05, 0.115, 0.05, 0.09, 0.042, 0.10, 0.15, 0.055, 0.03], np.float64)
_SOIL_TINT = np.array((-0.06, -0.02, 0.05, 0.03), np.float64)
_DIFFUSE = np.array((0.30, 0.24, 0.19, 0.13), np.float64)
_NOISE = 0.0008
_MEAN_HAZE = 0.004
_HAZE_SPECTRUM = np.array((1.0, 0.62, 0.42, 0.2), np.float64)


@dataclass(frozen=True, slots=True)
class _Light:
    """Direct light relative to level ground in the open, and how dark the shade of trees and houses makes it."""

    relief: Field
    shade: Field


def render(
    fields: Fields,
    terrain: Terrain,
    cover: Cover,
    hidden: Hidden,
    town: Settlement,
    where: Conditions,
    variant: Variant,
) -> tuple[np.ndarray, np.ndarray]:
    """The optical image and the oracle, (4, H, W) reflectance each."""
    known = _spectra(terrain, cover, hidden, town, where, variant)
    light = _Light(sunlight(terrain.elevation, where), _small_shade(cover, town, where))
    texture, roofs, foam = _texture(fields, terrain, cover, town, variant)
    sealed = (cover.ids == LandCover.BUILT) * (1 - hidden.green) * (1 - town.streets)
    share = 0.12 * sealed
    image, oracle = np.empty((4, *fields.shape), np.float64), np.empty((4, *fields.shape), np.float64)
    for band in range(4):
        sun = light.relief * (1 - light.shade)
        lit = _DIFFUSE[band] + (1 - _DIFFUSE[band]) * sun
        mean = known[band] * (1 - share) + share * _ROOF[band]
        oracle[band] = mean * lit + (_MEAN_HAZE * _HAZE_SPECTRUM[band])
        # Roofs: as many as the oracle expects on average, but each at its own place.
        rough = known[band] * np.exp(texture * (1.0, 1.0, 1.1, 0.8)[band])
        rough = rough * (1 - roofs * sealed) + roofs * sealed * _ROOF[band] + foam * _FOAM[band]
        image[band] = rough * lit * where.gain + (where.haze * _HAZE_SPECTRUM[band])
    for plane in (*image, *oracle):
        ndimage.gaussian_filter(plane, 0.5, output=plane, mode="nearest", truncate=3)
    image += fields_noise(fields) * _NOISE
    return np.clip(image, 0.0001, 1.2), np.clip(oracle, 0.0001, 1.2)


def fields_noise(fields: Fields) -> np.ndarray:
    """The sensor's noise, (4, H, W), deviation 1."""
    return np.stack([fields.white(f"sensor_{band}") for band in range(4)])


def sunlight(elevation: Field, where: Conditions) -> Field:
    """Direct sunlight relative to level ground; zero where relief casts its shadow."""
    gy, gx = np.gradient(elevation, PIXEL_M)
    azimuth, height = np.radians(where.sun_azimuth), np.radians(where.sun_elevation)
    # Towards the sun: east sin A, north cos A; rows run south.
    cosine = np.sin(height) + np.cos(height) * (-np.sin(azimuth) * gx + np.cos(azimuth) * gy)
    cosine = cosine / np.sqrt(1 + gx**2 + gy**2)
    light = np.clip(cosine / np.sin(height), 0, 2.2)
    # Stretched along the light the answer would saturate: level ground 1, facing slopes brighter by less.
    return np.asarray(light * _open_to_sun(elevation, azimuth, height), np.float64)


def _open_to_sun(elevation: Field, azimuth: float, height: float) -> Field:
    """1 where the sun is seen over the relief, 0 in cast shadow, smooth between."""
    rise = np.tan(height)
    reach = min(int(np.ptp(elevation) / rise / PIXEL_M) + 1, 220)
    over = np.full(elevation.shape, -1e3, np.float64)
    steps = np.unique(np.rint(np.geomspace(2, max(reach, 2), 22))).astype(int)
    for step in steps:
        dy, dx = -np.cos(azimuth) * step, np.sin(azimuth) * step
        towards = _moved(elevation, round(dy), round(dx))
        np.maximum(over, towards - elevation - (rise * step * PIXEL_M), out=over)
    return ndimage.gaussian_filter(smooth_step(over, 6.0, -4.0), 0.8)


def _moved(field: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """The value `dy` rows and `dx` columns further on; the border repeats."""
    rows = np.clip(np.arange(field.shape[0]) + dy, 0, field.shape[0] - 1)
    cols = np.clip(np.arange(field.shape[1]) + dx, 0, field.shape[1] - 1)
    return np.asarray(field[rows][:, cols])


def _small_shade(cover: Cover, town: Settlement, where: Conditions) -> Field:
    """The shade that woods, hedges and houses throw on what lies behind them."""
    height = (cover.ids == LandCover.TREES).astype(np.float64) * 15
    height = np.maximum(height, cover.hedge * 9)
    height = np.maximum(height, (cover.ids == LandCover.BUILT) * (1 - town.streets) * town.density * 9)
    length = 1 / np.tan(np.radians(where.sun_elevation)) / PIXEL_M
    azimuth = np.radians(where.sun_azimuth)
    shade = np.zeros(height.shape, np.float64)
    for part in (0.5, 1.0):
        dy, dx = -np.cos(azimuth) * 15 * length * part, np.sin(azimuth) * 15 * length * part
        towards = ndimage.shift(height, (-dy, -dx), order=1, mode="nearest")
        shade = np.maximum(shade, np.clip((towards - height) / 15, 0, 1) * (0.62 - 0.22 * part))
    return shade


def _spectra(
    terrain: Terrain, cover: Cover, hidden: Hidden, town: Settlement, where: Conditions, variant: Variant
) -> np.ndarray:
    """What the ground reflects, without light and texture: (4, H, W)."""
    ids = cover.ids
    green = np.clip(0.5 + (hidden.green - 0.5) * variant.spectral_spread, 0, 1)
    bare = 1 - green
    tone = np.exp(
        (_GROUND[ids] * hidden.bright * variant.spectral_spread - _DARKENS[ids] * hidden.wet) * (0.3 + 0.7 * bare)
    )
    tint = where.soil * bare * np.isin(ids, (LandCover.CROPS, LandCover.BARE, LandCover.GRASS, LandCover.SHRUB))
    lines = (
        cover.hedge,
        town.roads * ~terrain.still,
        town.streets * (ids == LandCover.BUILT),
        terrain.river * (ids != LandCover.WATER),
    )
    hedge_green = _BARE[LandCover.TREES] * 0.35 + _DENSE[LandCover.TREES] * 0.65
    river_water = _BARE[LandCover.WATER] * 0.6 + _DENSE[LandCover.WATER] * 0.4
    colours = (hedge_green, _ROAD, _ROAD * 0.9, river_water)
    out = np.empty((4, *ids.shape), np.float64)
    for band in range(4):
        ground = np.where(cover.sand, _SAND[band], _BARE[ids, band])
        value = (ground * bare + _DENSE[ids, band] * green) * tone
        value = value * np.exp(_SOIL_TINT[band] * tint)
        value += cover.track * (_TRACK[band] - value)
        for share, colour in zip(lines, colours, strict=True):
            value += share * (colour[band] - value)
        out[band] = value
    return _blended(out, cover)


def _blended(spectra: np.ndarray, cover: Cover) -> np.ndarray:
    """Wild land has no sharp borders: grass, shrub, stones and snow pass into each other over some 30 m."""
    wild = np.isin(cover.ids, (LandCover.GRASS, LandCover.SHRUB, LandCover.BARE, LandCover.SNOW, LandCover.FLOODED))
    wild &= ~cover.farmed & ~cover.sand
    weight = ndimage.gaussian_filter(wild.astype(np.float64), 1.1)
    for band in range(4):
        near = ndimage.gaussian_filter(spectra[band] * wild, 1.1)
        spectra[band] = np.where(wild, near / np.maximum(weight, 1e-3), spectra[band])
    return spectra


def _texture(
    fields: Fields, terrain: Terrain, cover: Cover, town: Settlement, variant: Variant
) -> tuple[Field, Field, Field]:
    """What no other source can tell: crowns, sowing lines, waves; single roofs; foam along the shore."""
    ids = cover.ids
    grain = 0.75 * fields.white("grain") + 0.65 * fields.smooth("grain_wide", 1.0)
    # Along a strip the sowing lines run on: noise by strip coordinate alone, a new one in each district.
    across = np.rint(cover.fields.across * 0.9).astype(np.int64) + 40_000 * cover.fields.district
    lines = fields.generator("lines").standard_normal(4096)[across % 4096]
    crops = ids == LandCover.CROPS
    grain = np.where(crops, 0.55 * grain + 0.8 * lines, grain)
    texture = grain * _TEXTURE[ids] * variant.texture
    roof = fields.smooth("roofs", 0.6)
    roofs = smooth_step(roof, 0.55, 1.6) * 0.85
    if not terrain.sea.any():
        return texture, roofs, np.zeros(fields.shape, np.float64)
    off_shore = ndimage.distance_transform_edt(terrain.sea)
    wave = fields.fractal("surf", largest=30, exponent=0.6)
    crest = np.exp(-(((off_shore - 2.2 - 1.1 * wave) / 0.8) ** 2))
    foam = crest * smooth_step(fields.smooth("foam", 1.2) + wave, 0.2, 1.6) * terrain.sea * 0.6
    # Surf needs open water before it; a cove has none.
    foam = foam * smooth_step(ndimage.uniform_filter(terrain.sea.astype(np.float64), 61), 0.4, 0.6)
    return texture, roofs, foam
