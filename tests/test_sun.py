"""The sun's position against published ones: NREL's example, and what Sentinel-2 products record of themselves."""

import math
from datetime import UTC, datetime

import pytest

from rsspade.sun import overpass_sun, sun_over, sun_position


def test_nrels_example_of_its_solar_position_algorithm():
    """Reda and Andreas 2008, appendix A.5; with their refraction of 0.016°."""
    when = datetime(2003, 10, 17, 19, 30, 30, tzinfo=UTC)
    azimuth, elevation = sun_position(when, 39.742476, -105.1786)
    assert azimuth == pytest.approx(194.34024, abs=0.01)
    assert elevation == pytest.approx(90 - 50.11162 - 0.016, abs=0.01)


# Tile, when it was sensed (where its own time is known), its middle, and the mean sun angles in its metadata.
PRODUCTS = {
    "10SDG": ("2018-12-31T19:04:06", "EPSG:32610", 454_860, 4_145_100, 161.1057, 27.0991),
    "34VEL": ("2024-01-08T10:14:07", "EPSG:32634", 554_880, 6_545_100, 174.2631, 8.5199),
    "46RER": ("2021-09-08", "EPSG:32646", 554_880, 3_045_120, 142.9876, 63.5068),
    "22HBD": ("2021-01-22", "EPSG:32722", 254_880, 5_845_120, 64.9495, 57.6288),
    "07HFE": ("2019-02-12", "EPSG:32707", 654_900, 6_445_120, 62.3287, 57.2929),
}


@pytest.mark.parametrize(("tile", "place"), [("10SDG", (37.45, -123.51)), ("34VEL", (59.04, 21.96))])
def test_at_the_time_of_sensing_it_is_what_the_product_records(tile, place):
    when, *_, azimuth, elevation = PRODUCTS[tile]
    assert sun_position(datetime.fromisoformat(when).replace(tzinfo=UTC), *place) == pytest.approx(
        (azimuth, elevation), abs=0.02
    )


@pytest.mark.parametrize("tile", PRODUCTS)
def test_by_the_date_alone_it_is_near_what_the_product_records(tile):
    when, crs, x, y, azimuth, elevation = PRODUCTS[tile]
    found = sun_over(when, crs, x, y)
    assert found[0] == pytest.approx(azimuth, abs=4)
    assert found[1] == pytest.approx(elevation, abs=2)


def test_what_is_unknown_stays_unknown():
    for day, crs, x in (("", "EPSG:32632", 5e5), ("2023-06-01", "", 5e5), ("2023-06-01", "EPSG:32632", math.inf)):
        assert all(map(math.isnan, sun_over(day, crs, x, 5e6)))
    assert all(map(math.isnan, overpass_sun("0001-01-01", 50, 179.9)))  # a day before the calendar begins


def test_poles_and_polar_night_have_a_sun_too():
    assert overpass_sun("2023-12-21", 89.9, 0)[1] == pytest.approx(-23.4, abs=0.2)
    assert overpass_sun("2023-12-21", -90, 0)[1] == pytest.approx(23.4, abs=0.2)
