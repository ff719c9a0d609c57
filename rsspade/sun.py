"""Where the sun stood over a place when Sentinel-2 passed.

The sun's position follows from the low-precision formulas of the Astronomical Almanac (0.01° between 1950 and 2050,
without refraction). Where only the day is known, the hour follows from the orbit: it crosses the equator southwards at
10:30 mean solar time, and since it leans over the pole, mean solar time is later in the north (11:07 at 47°, 11:31 at
60°) and earlier in the south. A place at the edge of the swath differs from that by up to ten minutes, which is 2° to 4°
of azimuth.
"""

import functools
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyproj import Transformer

__all__ = ["UNKNOWN", "overpass_sun", "sun_over", "sun_position"]

UNKNOWN = (math.nan, math.nan)
_NODE_HOURS = 10.5
_ORBIT_TILT = math.radians(180 - 98.62)
"""Of Sentinel-2's orbit against the equator, as seen from the side it goes to."""


def sun_position(when: datetime, latitude: float, longitude: float) -> tuple[float, float]:
    """Azimuth (clockwise from north) and elevation of the sun, both in degrees.

    Args:
        when: With a time zone.
        latitude: Degrees north.
        longitude: Degrees east.
    """
    days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    mean = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(mean) + 0.020 * math.sin(2 * mean))
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians(280.46062 + 360.98564737 * days + longitude)
    hour, here = sidereal - ascension, math.radians(latitude)
    east = -math.cos(declination) * math.sin(hour)
    north = math.sin(declination) * math.cos(here) - math.cos(declination) * math.cos(hour) * math.sin(here)
    up = math.sin(declination) * math.sin(here) + math.cos(declination) * math.cos(hour) * math.cos(here)
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(max(-1.0, min(up, 1.0))))


def overpass_sun(day: str, latitude: float, longitude: float) -> tuple[float, float]:
    """Azimuth and elevation when Sentinel-2 passed on a day (ISO date); NaN where that cannot be read."""
    lean = math.tan(math.radians(latitude)) / math.tan(_ORBIT_TILT)
    hours = _NODE_HOURS + math.degrees(math.asin(max(-1.0, min(lean, 1.0)))) / 15 - longitude / 15
    try:
        passage = datetime.fromisoformat(day[:10]).replace(tzinfo=UTC) + timedelta(hours=hours)
    except (ValueError, OverflowError):  # no date; one at the end of time, as some write where they know none
        return UNKNOWN
    return sun_position(passage, latitude, longitude)


def sun_over(day: str, crs: str, x: float, y: float) -> tuple[float, float]:
    """As `overpass_sun`, at a point of a coordinate reference system; NaN where that is unknown."""
    longitude, latitude = _to_degrees(crs, x, y)
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return UNKNOWN
    return overpass_sun(day, latitude, longitude)


def _to_degrees(crs: str, x: float, y: float) -> tuple[float, float]:
    from pyproj.exceptions import ProjError

    try:
        longitude, latitude = _transformer(crs).transform(x, y)
    except ProjError:
        return UNKNOWN
    return float(longitude), float(latitude)


@functools.lru_cache(maxsize=64)
def _transformer(crs: str) -> "Transformer":
    from pyproj import Transformer

    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
