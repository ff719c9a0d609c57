"""Radar units: recognised where the values tell, refused where they do not."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from rsspade.errors import InputError
from rsspade.geo.sar import (
    SAR_UNITS,
    band_from_filename,
    check_unit,
    detect_unit,
    parse_unit,
    resolve_polarisations,
    to_db,
    to_power,
)


def radar_db(vv: float = -11.0, vh: float = -17.5, spread: float = 3.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(mean, spread, (80, 80)) for mean in (vv, vh)])


def in_unit(db: np.ndarray, unit: str) -> np.ndarray:
    return {"db": db, "power": 10 ** (db / 10), "amplitude": 10 ** (db / 20)}[unit]


def real_radar() -> list[Path]:
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        pytest.skip("RSSPADE_REAL_DATA does not name the folder with the real tiles")
    files = sorted([*Path(root).glob("terramesh/S1RTC/*.tif"), *Path(root).glob("sen12mscr/s1/*.tif")])
    if not files:
        pytest.skip(f"no radar tiles under {root}")
    return files


@pytest.mark.parametrize("unit", SAR_UNITS)
def test_the_unit_of_an_ordinary_scene_is_found(unit: str) -> None:
    assert detect_unit(in_unit(radar_db(), unit), "s1.tif") == unit


@pytest.mark.parametrize("unit", SAR_UNITS)
def test_the_unit_of_real_scenes_is_found_in_whatever_unit_they_come(unit: str) -> None:
    for path in real_radar():
        with rasterio.open(path) as src:
            values = in_unit(src.read().astype(np.float64), unit)
        assert detect_unit(values, path) == unit, path.name
        check_unit(values, unit, path)


@pytest.mark.parametrize("unit", ["power", "amplitude"])
def test_empty_borders_do_not_hide_the_unit(unit: str) -> None:
    values = in_unit(radar_db(), unit)
    values[:, :60] = 0
    values[:, 60:64] = np.nan
    assert detect_unit(values, "s1.tif") == unit


def test_a_forest_in_power_looks_like_a_rough_sea_in_amplitude_and_is_refused() -> None:
    for values in (in_unit(radar_db(-7.5, -13.5), "power"), in_unit(radar_db(-15, -27), "amplitude")):
        with pytest.raises(
            InputError, match=r"s1\.tif: expected backscatter that is clearly power or clearly amplitude"
        ):
            detect_unit(values, "s1.tif")


def test_one_linear_band_is_refused_but_one_band_in_db_is_known() -> None:
    with pytest.raises(InputError, match=r"--s1-unit"):
        detect_unit(in_unit(radar_db()[:1], "power"), "vv.tif")
    assert detect_unit(radar_db()[:1], "vv.tif") == "db"


def test_bands_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InputError, match=r"could be either"):
        detect_unit(in_unit(radar_db(-20, -10), "power"), "s1.tif")


@pytest.mark.parametrize("call", [lambda v: detect_unit(v, "s1.tif"), lambda v: check_unit(v, "power", "s1.tif")])
def test_a_stretched_picture_is_refused(call) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 50, 50)).astype(np.uint8)
    with pytest.raises(InputError, match=r"stretched for display"):
        call(picture)
    with pytest.raises(InputError, match=r"stretched for display"):
        call(picture.astype(np.float32))


@pytest.mark.parametrize("call", [lambda v: detect_unit(v, "s1.tif"), lambda v: check_unit(v, "amplitude", "s1.tif")])
def test_uncalibrated_numbers_are_refused(call) -> None:
    numbers = np.random.default_rng(0).gamma(4, 60, (2, 50, 50)).astype(np.float32)
    with pytest.raises(InputError, match=r"[Cc]alibrate"):
        call(numbers)


def test_values_with_both_signs_that_are_not_db_are_refused() -> None:
    standardised = np.random.default_rng(0).normal(size=(2, 50, 50)) + 1.5
    with pytest.raises(InputError, match=r"Name the unit"):
        detect_unit(standardised, "s1.tif")


def test_a_sample_without_data_is_refused() -> None:
    with pytest.raises(InputError, match=r"no valid pixel"):
        detect_unit(np.full((2, 4, 4), np.nan), "s1.tif")
    with pytest.raises(InputError, match=r"no valid pixel"):
        check_unit(np.zeros((2, 4, 4)), "power", "s1.tif")


@pytest.mark.parametrize("claimed", ["power", "amplitude"])
def test_db_passed_as_linear_is_refused(claimed: str) -> None:
    with pytest.raises(InputError, match=rf"expected radar as {claimed}.*--s1-unit db"):
        check_unit(radar_db(), claimed, "s1.tif")


@pytest.mark.parametrize("unit", ["power", "amplitude"])
def test_linear_passed_as_db_is_refused(unit: str) -> None:
    with pytest.raises(InputError, match=r"expected radar in dB.*This looks linear"):
        check_unit(in_unit(radar_db(), unit), "db", "s1.tif")


def test_db_stored_in_hundredths_is_refused() -> None:
    with pytest.raises(InputError, match=r"Undo the scaling"):
        check_unit(np.rint(radar_db() * 100), "db", "s1.tif")


@pytest.mark.parametrize("unit", SAR_UNITS)
def test_a_right_claim_passes(unit: str) -> None:
    check_unit(in_unit(radar_db(), unit), unit, "s1.tif")
    check_unit(in_unit(radar_db(-20, -29), unit), unit, "s1.tif")
    check_unit(in_unit(radar_db(-3, -10), unit), unit, "s1.tif")


def test_slightly_negative_power_after_noise_subtraction_passes() -> None:
    power = in_unit(radar_db(-20, -29), "power")
    power[:, ::7] -= 0.01
    check_unit(power, "power", "s1.tif")


@given(db=st.floats(-59, 30), unit=st.sampled_from(SAR_UNITS))
def test_every_unit_comes_back_to_the_same_db(db: float, unit: str) -> None:
    values = in_unit(np.array([[[db]], [[db - 0.5]]]), unit)
    if db == 0 and unit == "db":
        return  # 0 dB beside -0.5 dB is a measurement; the exact pair of zeros is tested below
    np.testing.assert_allclose(to_db(values, unit)[:, 0, 0], [db, db - 0.5], atol=1e-4)
    np.testing.assert_allclose(to_power(values, unit)[:, 0, 0], 10 ** (np.array([db, db - 0.5]) / 10), rtol=1e-5)


@pytest.mark.parametrize("unit", SAR_UNITS)
def test_what_is_not_measured_becomes_nan(unit: str) -> None:
    values = in_unit(np.full((2, 1, 6), -12.0), unit)
    values[0, 0, :4] = [np.nan, np.inf, -np.inf, -9999]
    values[:, 0, 4] = 0
    found = to_db(values, unit)
    np.testing.assert_array_equal(np.isnan(found[0, 0]), [True] * 5 + [False])
    np.testing.assert_array_equal(np.isnan(found[1, 0]), [False] * 4 + [True, False])
    np.testing.assert_allclose(found[1, 0, [0, 5]], -12, atol=1e-5)


def test_declared_nodata_becomes_nan() -> None:
    found = to_power(np.array([[[0.1, 7.0]], [[0.02, 7.0]]]), "power", nodata=7)
    np.testing.assert_allclose(found, [[[0.1, np.nan]], [[0.02, np.nan]]], rtol=1e-6)


def test_zero_db_in_one_band_is_a_measurement() -> None:
    found = to_db(np.array([[[0.0]], [[-6.0]]]), "db")
    np.testing.assert_allclose(found[:, 0, 0], [0, -6], atol=1e-5)


def test_negative_power_is_lifted_to_the_noise_floor() -> None:
    np.testing.assert_allclose(to_db(np.array([[[-0.002, 1e-9]]]), "power"), -60, atol=1e-4)


def test_an_unknown_unit_is_refused_with_the_known_ones() -> None:
    assert parse_unit(" dB ") == "db"
    with pytest.raises(InputError, match=r"db or power or amplitude, found 'watt'"):
        parse_unit("watt")


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("S1A_IW_GRDH_1SDV_20200704T053000_VV.tif", "vv"),
        ("s1a-iw-grd-vh-20200704t053000-20200704t053025-033301-03DBB1-002.tiff", "vh"),
        ("Gamma0_VV.img", "vv"),
        ("scene.VH.tif", "vh"),
        ("S1_VV_VH.tif", None),
        ("S1A_IW_GRDH_1SDV.tif", None),
        ("savvy.tif", None),
    ],
)
def test_the_polarisation_is_read_from_the_file_name(name: str, band: str | None) -> None:
    assert band_from_filename(Path("folder_VV") / name) == band


@pytest.mark.parametrize(
    ("descriptions", "found"),
    [
        (["VH", "VV"], (2, 1)),
        (["Sigma0_VV_db", "Sigma0_VH_db", "angle"], (1, 2)),
        ([None, None], (1, 2)),
        (["bands", "bands"], (1, 2)),
        ([None, None, "angle"], (1, 2)),
    ],
)
def test_polarisations_are_found_by_description_and_then_by_position(
    descriptions: list[str | None], found: tuple[int, int]
) -> None:
    assert resolve_polarisations(descriptions, len(descriptions), "s1.tif") == found


@pytest.mark.parametrize(
    "descriptions", [["HH", "HV"], ["VV"], [None], ["VV", None], ["VV", "VV"], [None] * 4, ["VV", "VH", "VV"]]
)
def test_unclear_polarisations_are_refused(descriptions: list[str | None]) -> None:
    with pytest.raises(InputError, match=r"expected one band VV and one band VH"):
        resolve_polarisations(descriptions, len(descriptions), "s1.tif")
