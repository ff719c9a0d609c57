"""Optical files: bands by name and position, digital numbers to reflectance, cloud masks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsspade.errors import InputError
from rsspade.geo.optical import (
    band_from_description,
    band_from_filename,
    decode_mask,
    decode_scl,
    detect_scale,
    is_scl,
    resolve_bands,
    to_reflectance,
)

FOUR = ["blue", "green", "red", "nir"]
PRODUCT_12 = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12"]


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B2", "blue"),
        ("B02", "blue"),
        ("b8a", "nir08"),
        ("B02 (490 nm)", "blue"),
        ("B4, central wavelength 665 nm", "red"),
        ("S2_B8A_median", "nir08"),
        ("0_B12", "swir22"),
        ("Red Edge 1 (B5)", "rededge1"),
        ("Near Infrared", "nir"),
        ("Coastal aerosol", "coastal"),
        ("swir16", "swir16"),
        ("Blue", "blue"),
        ("reflectance green", "green"),
        ("red edge", None),
        ("Band 2", None),
        ("B2 and B3", None),
        ("SCL", None),
        ("NDVI", None),
        ("", None),
        (None, None),
    ],
)
def test_a_description_names_its_band_or_none(text: str | None, band: str | None) -> None:
    assert band_from_description(text) == band


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("T33TWN_20230704T100031_B02_10m.jp2", "blue"),
        ("B8A_20m.jp2", "nir08"),
        ("31PGS_01_20180101_B04_10m.tif", "red"),
        ("scene_red.tif", "red"),
        ("LC_B11.tif", "swir16"),
        ("S2_B02_median_of_summer.tif", None),
        ("B2_B3_B4.tif", "red"),
        ("scene.tif", None),
        ("T33TWN_SCL_20m.jp2", None),
    ],
)
def test_a_file_name_tells_its_band_at_its_end(name: str, band: str | None) -> None:
    assert band_from_filename(Path("B08") / name) == band


@pytest.mark.parametrize(
    ("descriptions", "wanted", "found"),
    [
        (PRODUCT_12, FOUR, [2, 3, 4, 8]),
        (PRODUCT_12[::-1], FOUR, [11, 10, 9, 5]),
        (["nir", "red", "green", "blue"], FOUR, [4, 3, 2, 1]),
        ([None] * 13, ["red", "swir16", "cirrus"], [4, 12, 11]),
        ([None] * 12, ["nir", "swir16", "swir22"], [8, 11, 12]),
        ([None] * 4, FOUR, [1, 2, 3, 4]),
        (["Band 1", "Band 2", "Band 3", "Band 4"], FOUR, [1, 2, 3, 4]),
        (["blue", None, None, None], FOUR, [1, 2, 3, 4]),  # what is described stands where it should
        ([*PRODUCT_12, "SCL"], ["blue", "swir22"], [2, 12]),
        (["B2", "B3", "B4", "B8", "QA60"], FOUR, [1, 2, 3, 4]),
    ],
)
def test_bands_are_found_by_description_and_then_by_position(
    descriptions: list[str | None], wanted: list[str], found: list[int]
) -> None:
    assert resolve_bands(descriptions, len(descriptions), wanted, "s2.tif") == found


@pytest.mark.parametrize(
    ("descriptions", "wanted", "message"),
    [
        ([None] * 3, FOUR, r"s2\.tif: expected the bands blue, green, red, nir, found 3 bands without descriptions"),
        ([None] * 10, FOUR, r"Describe the bands"),
        ([None] * 12, ["cirrus"], r"Leave out cirrus"),
        ([None] * 4, ["blue", "swir16"], r"Leave out swir16"),
        (["B1", "B2", "B3", "B4"], FOUR, r"found B1, B2, B3, B4"),  # the first four bands of a product, not B G R N
        (["red", "green", "blue", None], FOUR, r"found red, green, blue, \(unnamed\)"),
        (["blue", "blue", "red", "nir", "green"], FOUR, r"blue twice"),
        (["B2", "B3", "B4", "QA60"], FOUR, r"found B2, B3, B4, QA60"),
    ],
)
def test_bands_that_cannot_be_told_are_refused(descriptions: list[str | None], wanted: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_bands(descriptions, len(descriptions), wanted, "s2.tif")


def test_digital_numbers_become_reflectance_and_zero_is_tested_before_the_offset() -> None:
    numbers = np.array([[[0, 1, 999, 1000, 1500, 11000, 65535]]], np.uint16)
    found = to_reflectance(numbers, offset=-1000, nodata=65535)
    assert found.dtype == np.float32
    expected = [np.nan, -0.0999, -0.0001, 0, 0.05, 1.0, np.nan]
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-7)


def test_floating_point_digital_numbers_convert_alike() -> None:
    numbers = np.array([[[0.0, np.nan, 1500.5, -np.inf, 300.0]]], np.float32)
    np.testing.assert_allclose(to_reflectance(numbers)[0, 0], [np.nan, np.nan, 0.15005, np.nan, 0.03], atol=1e-7)


def test_reflectance_stays_as_it_is_and_single_zeros_are_water() -> None:
    values = np.array([[[0.0, 0.3, 0.0]], [[0.1, 0.4, 0.0]]], np.float32)
    found = to_reflectance(values, offset=-1000, scale=1)
    np.testing.assert_array_equal(found, np.array([[[0.0, 0.3, np.nan]], [[0.1, 0.4, np.nan]]], np.float32))


@given(number=st.integers(1, 30000), offset=st.sampled_from([0, -1000]))
def test_reflectance_goes_back_to_the_same_digital_number(number: int, offset: int) -> None:
    reflectance = to_reflectance(np.array([[[number]]], np.uint16), offset=offset)
    assert round(float(reflectance[0, 0, 0]) * 10000) - offset == number


def test_the_scale_is_seen_from_the_values() -> None:
    rng = np.random.default_rng(0)
    reflectance = rng.gamma(4, 0.03, (4, 60, 60))
    assert detect_scale(reflectance, "s2.tif") == 1
    assert detect_scale(reflectance * 10000, "s2.tif") == 10000
    assert detect_scale(np.rint(reflectance * 10000).astype(np.uint16), "s2.tif") == 10000
    snow = rng.normal(0.95, 0.1, (4, 60, 60))
    snow[:, :30] = np.nan
    assert detect_scale(snow, "s2.tif") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.random.default_rng(0).integers(0, 256, (3, 40, 40)), r"stretched for display"),
        (np.random.default_rng(0).normal(30, 5, (3, 40, 40)), r"expected reflectance .* or digital numbers"),
        (np.zeros((3, 40, 40)), r"no valid pixel"),
        (np.random.default_rng(0).normal(1e6, 5, (3, 40, 40)), r"expected reflectance .* or digital numbers"),
    ],
)
def test_what_is_neither_reflectance_nor_digital_numbers_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect_scale(values, "s2.tif")


def test_scene_classes_become_clear_cloud_shadow_unknown() -> None:
    classes = np.arange(12, dtype=np.uint8)[None]
    np.testing.assert_array_equal(decode_scl(classes)[0], [255, 255, 0, 2, 0, 0, 0, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(decode_scl(np.array([9.0, np.nan, 4.0]))[:], [1, 255, 0])
    with pytest.raises(InputError, match=r"scl\.tif: expected the scene classes 0 to 11, found the values 12, 200"):
        decode_scl(np.array([4, 12, 200]), "scl.tif")


def test_a_mask_of_ours_or_a_binary_one_is_taken_as_it_is() -> None:
    np.testing.assert_array_equal(decode_mask(np.array([0, 1, 2, 255], np.uint8)), [0, 1, 2, 255])
    np.testing.assert_array_equal(decode_mask(np.array([0.0, 1.0, np.nan])), [0, 1, 255])
    np.testing.assert_array_equal(decode_mask(np.array([True, False])), [1, 0])
    with pytest.raises(
        InputError, match=r"mask\.tif: expected 0 clear, 1 cloud, 2 shadow, 255 unknown, found the values 100"
    ):
        decode_mask(np.array([0, 100]), "mask.tif")


def test_a_scene_classification_is_told_from_a_mask() -> None:
    assert is_scl(np.array([4, 5, 9]), "clouds.tif")
    assert not is_scl(np.array([0, 1, 2, 255]), "clouds.tif")
    assert is_scl(np.array([0, 2]), "T33TWN_SCL_20m.jp2")
    with pytest.raises(InputError, match=r"found the values 100"):
        is_scl(np.array([0, 100]), "clouds.tif")


def test_fill_values_that_a_file_does_not_declare_are_no_reflectance() -> None:
    digital = np.array([[[-9999.0, -10000.0, 65535.0, 2500.0]]])
    np.testing.assert_allclose(to_reflectance(digital), [[[np.nan, np.nan, np.nan, 0.25]]], rtol=1e-6)
    reflectance = np.array([[[-9999.0, -1.0, 6.5535, -0.05]]])
    np.testing.assert_allclose(to_reflectance(reflectance, scale=1), [[[np.nan, np.nan, np.nan, -0.05]]], rtol=1e-6)


def test_digital_number_0_holds_nothing_under_a_declared_offset_either() -> None:
    values = np.array([[[-0.1, -0.1, 0.3]], [[-0.1, 0.2, 0.3]]], np.float32)
    found = to_reflectance(values, scale=1, zero=np.full((2, 1, 1), -0.1, np.float32))
    np.testing.assert_array_equal(np.isfinite(found[0, 0]), [False, True, True])
