"""Where and when a scene lies: its landscape, place, dates, sun and weather."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from rsspade.world.noise import Fields
from rsspade.world.variants import LANDSCAPES, Landscape

__all__ = ["MAX_SCENES", "MAX_SCENE_PX", "Conditions", "place_of", "scene_conditions", "scene_name"]

MAX_SCENE_PX = 4096
_SPACING_M = 60_000
_COLUMNS, _ROWS, _ZONES = 8, 40, tuple(range(32, 61)) + tuple(range(1, 32))
MAX_SCENES = _COLUMNS * _ROWS * len(_ZONES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What holds for a scene as a whole.

    Attributes:
        landscape: Name of the kind of landscape.
        kind: Its ranges.
        day: Of the year, of the optical image.
        s2_date: ISO date of the optical image.
        s1_date: ISO date of the radar image.
        sun_azimuth: Degrees clockwise from north.
        sun_elevation: Degrees above the horizon.
        look_azimuth: Where the radar looks to, degrees clockwise from north.
        temperature: Yearly mean at sea level, °C.
        moisture: 0 dry … 1 wet.
        forest: Share of wild land under forest.
        arable: How readily flat land is farmed.
        gain: Of the optical image; nothing tells it.
        haze: Reflectance that the air adds in blue; nothing tells it.
        turbid: Sediment in the water, about 0.3 clear … 0.9 muddy.
        soil: Tint of the soil, -1 grey … 1 red.
    """

    landscape: str
    kind: Landscape
    day: int
    s2_date: str
    s1_date: str
    sun_azimuth: float
    sun_elevation: float
    look_azimuth: float
    temperature: float
    moisture: float
    forest: float
    arable: float
    gain: float
    haze: float
    turbid: float
    soil: float


def scene_name(index: int) -> str:
    """The name of a scene, sorted as numbered."""
    return f"w{index:04d}"


def place_of(index: int) -> tuple[str, float, float]:
    """CRS, x and y of the upper left corner: a place of its own for each scene."""
    per_zone = _COLUMNS * _ROWS
    zone = _ZONES[index // per_zone]
    # A stride without a common factor walks over all places, neighbours in number far apart.
    slot = (index % per_zone) * 77 % per_zone
    row, column = divmod(slot, _COLUMNS)
    return f"EPSG:{32600 + zone}", 270_000.0 + column * _SPACING_M, 6_500_000.0 - row * _SPACING_M


def scene_conditions(fields: Fields, index: int) -> Conditions:
    """Draw the conditions of a scene; landscapes come in turn."""
    draw = fields.generator("conditions")
    names = list(LANDSCAPES)
    name = names[index % len(names)]
    kind = LANDSCAPES[name]
    day = int(draw.integers(105, 290))
    date = dt.date(int(draw.integers(2018, 2025)), 1, 1) + dt.timedelta(days=day - 1)
    gap = int(draw.integers(-5, 6))
    latitude = (place_of(index)[2] / 6_378_137.0) * 180 / np.pi
    elevation, azimuth = _sun(latitude, day)
    return Conditions(
        landscape=name, kind=kind, day=day, s2_date=date.isoformat(),
        s1_date=(date + dt.timedelta(days=gap)).isoformat(), sun_azimuth=azimuth, sun_elevation=elevation,
        look_azimuth=float(draw.choice([79.0, 281.0])), temperature=float(draw.uniform(*kind.temperature)),
        moisture=float(draw.uniform(*kind.moisture)), forest=float(draw.uniform(*kind.forest)),
        arable=float(draw.uniform(*kind.arable)), gain=float(np.exp(draw.normal(0, 0.02))),
        haze=float(draw.uniform(0.002, 0.006)),  turbid=float(draw.uniform(0.3, 0.9)), soil=float(draw.uniform(-1, 1)),
    )  # fmt: skip


def _sun(latitude: float, day: int) -> tuple[float, float]:
    """Elevation and azimuth at half past ten, local solar time, when Sentinel-2 passes."""
    declination = np.radians(23.44) * np.sin(2 * np.pi * (day - 81) / 365.25)
    hour, lat = np.radians(-22.5), np.radians(latitude)
    sine = np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour)
    elevation = np.arcsin(sine)
    cosine = (np.sin(declination) - sine * np.sin(lat)) / (np.cos(elevation) * np.cos(lat))
    azimuth = np.degrees(np.arccos(np.clip(cosine, -1, 1)))  # east of south, since it is morning
    return float(np.degrees(elevation)), float(azimuth)
