"""One scene from its seed: relief, cover, hidden state, then what each sensor makes of it."""

from dataclasses import dataclass

import numpy as np

from rsspade.geo.terrain import terrain_derivatives_inside
from rsspade.world.clouds import add_clouds
from rsspade.world.conditions import Conditions, scene_conditions
from rsspade.world.hidden import Hidden, make_hidden
from rsspade.world.landcover import Cover, make_cover, mapped_cover
from rsspade.world.noise import Fields
from rsspade.world.optics import render
from rsspade.world.radar import backscatter
from rsspade.world.settlement import make_settlement
from rsspade.world.terrain import PIXEL_M, Terrain, make_terrain, measured_elevation
from rsspade.world.variants import VARIANTS

__all__ = ["Scene", "SceneSpec", "make_scene"]

HALO = 24
"""Pixels made around a scene and cut off, so that nothing at its border knows that the world ends there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneSpec:
    """What decides a scene, to the last bit."""

    seed: int
    variant: str
    index: int
    size: int
    clouds: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A finished scene.

    Attributes:
        images: Source name -> (bands, size, size) in physical units, quantised.
        conditions: What holds for the scene as a whole.
        cover: The true cover, halo included.
        hidden: The hidden state, halo included.
        terrain: The true relief, halo included.
    """

    images: dict[str, np.ndarray]
    conditions: Conditions
    cover: Cover
    hidden: Hidden
    terrain: Terrain


def make_scene(spec: SceneSpec) -> Scene:
    """Make all sources of a scene, the oracle included."""
    variant = VARIANTS[spec.variant]
    side = spec.size + 2 * HALO
    fields = Fields((spec.seed, variant.key, spec.index), (side, side))
    where = scene_conditions(fields, spec.index)
    terrain = make_terrain(fields, where.kind, variant.relief_exponent)
    town = make_settlement(fields, terrain, where.kind)
    cover = make_cover(fields, terrain, town, where)
    hidden = make_hidden(fields, cover, terrain, town, where)
    clear, oracle = render(fields, terrain, cover, hidden, town, where, variant)
    radar = backscatter(fields, terrain, cover, hidden, town, where, variant)
    inside = (slice(HALO, HALO + spec.size), slice(HALO, HALO + spec.size))
    images = {
        "s2": _rounded(clear[:, *inside], 1e4),
        "s1": _rounded(radar[:, *inside], 1e2),
        "lulc": mapped_cover(cover, fields)[inside][None],
        "dem": _elevation_bands(measured_elevation(terrain, fields)),
        "oracle": _rounded(oracle[:, *inside], 1e4),
    }
    if spec.clouds > 0:
        cloudy, mask = add_clouds(clear, fields, where, share=spec.clouds, inside=inside)
        images["s2_cloudy"], images["cloud"] = _rounded(cloudy[:, *inside], 1e4), mask[inside][None]
    return Scene(images, where, cover, hidden, terrain)


def _elevation_bands(elevation: np.ndarray) -> np.ndarray:
    """The four stored bands, derivatives taken with a halo and from the heights as stored."""
    kept = elevation[HALO - 1 : 1 - HALO, HALO - 1 : 1 - HALO]
    bands = terrain_derivatives_inside(_rounded(kept, 1e3), PIXEL_M)
    out = _rounded(bands, 1e2)
    out[0] = _rounded(bands[0], 1e3)
    out[2][out[2] >= 360] = 0
    return out


def _rounded(values: np.ndarray, per_unit: float) -> np.ndarray:
    """To whole steps, so that the last bit of a processor's arithmetic does not reach the file."""
    steps = np.rint(values.astype(np.float64) * per_unit) + 0.0  # there is one zero, not two
    return np.asarray((steps / per_unit).astype(np.float32))
