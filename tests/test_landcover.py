"""Class schemes and maps: closed, named, and never guessed."""

import numpy as np
import pytest

from rsspade.errors import InputError
from rsspade.landcover import MAPS, SCHEMES, find_map, scheme_named


def test_the_promised_schemes_exist():
    assert set(SCHEMES) == {
        "dynamic_world",
        "worldcover",
        "esri_annual",
        "terramesh",
        "igbp",
        "rs_spade_h1",
        "rs_spade_h1b",
    }
    assert scheme_named("dynamic_world").names == (
        "water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice",
    )  # fmt: skip


@pytest.mark.parametrize("name", SCHEMES)
def test_ids_names_and_colours_are_each_used_once(name):
    scheme = SCHEMES[name]
    assert (
        len(set(scheme.ids)) == len(set(scheme.names)) == len({c.colour for c in scheme.classes}) == len(scheme.classes)
    )
    assert 255 not in scheme.ids
    assert not set(scheme.ids) & scheme.ignored


@pytest.mark.parametrize("name", MAPS)
def test_a_map_leads_from_every_class_into_its_target(name):
    named = MAPS[name]
    source, target = SCHEMES[named.source], SCHEMES[named.target]
    assert set(named.table) <= set(source.ids)
    assert set(named.table.values()) <= set(target.ids)
    lost = set(source.ids) - set(named.table)
    assert not lost or "unlabelled" in named.note  # a class that is dropped is said to be


@pytest.mark.parametrize(
    ("source", "target", "raw", "expected"),
    [
        ("worldcover", "dynamic_world", [10, 80, 50, 95, 0, 255], [1, 0, 6, 1, 255, 255]),
        ("terramesh", "dynamic_world", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], [0, 1, 3, 4, 6, 7, 8, 255, 2, 255]),
        ("esri_annual", "terramesh", [1, 4, 11, 10], [1, 3, 9, 255]),
        ("dynamic_world", "rs_spade_h1", [0, 5, 6, 7], [2, 7, 255, 8]),
        ("dynamic_world", "rs_spade_h1b", [0, 5, 6, 7], [2, 255, 7, 8]),
        ("igbp", "rs_spade_h1", [17, 1, 12], [2, 3, 6]),
    ],
)
def test_known_conversions(source, target, raw, expected):
    ids = SCHEMES[source].normalise(np.array(raw), "here")
    assert find_map(source, target).apply(ids).tolist() == expected


def test_ids_outside_a_scheme_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"map.tif: expected class ids of worldcover \(10, 20.* found ids 7, 11"):
        SCHEMES["worldcover"].normalise(np.array([10, 7, 11]), "map.tif")


def test_a_conversion_without_a_map_is_refused():
    with pytest.raises(InputError, match=r"from worldcover there are: dynamic_world, rs_spade_h1, rs_spade_h1b"):
        find_map("worldcover", "igbp")
    assert find_map("igbp", "igbp") is None


def test_indices_count_classes_and_put_unlabelled_last():
    scheme = SCHEMES["worldcover"]
    assert scheme.indices(np.array([10, 100, 255, 7])).tolist() == [0, 10, 11, 11]
