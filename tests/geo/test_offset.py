"""Sentinel-2's offset: found in metadata, names and pixels, and never guessed."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from rsspade.errors import InputError
from rsspade.geo.optical import detect_offset
from rsspade.sources import SENTINEL2_PRODUCT_NAMES

L1C = list(SENTINEL2_PRODUCT_NAMES)
L2A = [name for name in L1C if name != "cirrus"]
FOUR = ("blue", "green", "red", "nir")

# Reflectance per L2A band of plain surfaces, coarse textbook values.
SURFACES = {
    "forest": [0.015, 0.02, 0.035, 0.023, 0.06, 0.18, 0.23, 0.25, 0.27, 0.27, 0.13, 0.06],
    "lush forest": [0.015, 0.02, 0.035, 0.023, 0.07, 0.26, 0.35, 0.38, 0.40, 0.40, 0.15, 0.07],
    "crops": [0.04, 0.05, 0.065, 0.08, 0.11, 0.19, 0.22, 0.24, 0.25, 0.25, 0.22, 0.15],
    "grass": [0.03, 0.04, 0.07, 0.06, 0.11, 0.24, 0.29, 0.31, 0.32, 0.32, 0.22, 0.12],
    "water": [0.05, 0.045, 0.04, 0.03, 0.025, 0.02, 0.02, 0.015, 0.015, 0.015, 0.006, 0.004],
    "desert": [0.17, 0.20, 0.27, 0.35, 0.38, 0.41, 0.43, 0.44, 0.46, 0.47, 0.54, 0.48],
    "snow": [0.88, 0.90, 0.89, 0.88, 0.87, 0.86, 0.85, 0.84, 0.80, 0.75, 0.10, 0.08],
    "cloud": [0.60, 0.60, 0.59, 0.60, 0.61, 0.62, 0.63, 0.63, 0.64, 0.62, 0.50, 0.42],
}


def numbers(*parts: tuple[str, float], offset: int, bands: tuple[str, ...] | list[str] = L2A, side: int = 64,
            spread: float = 0.18, seed: int = 0) -> dict[str, np.ndarray]:  # fmt: skip
    """Digital numbers of a scene of surfaces with their shares; offset -1000 means 1000 are in the numbers."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(parts), size=(side, side), p=[share for _, share in parts])
    looks = np.array([SURFACES[name] for name, _ in parts])[kind]  # (H, W, bands)
    gain = np.exp(rng.normal(0, spread, (side, side, 1)))
    reflectance = looks * gain + rng.normal(0, 0.003, looks.shape)
    stored = np.maximum(np.rint(reflectance * 10000 - offset), 1).astype(np.uint16)
    return {name: stored[..., L2A.index(name)] for name in bands}


def real_tile(folder: str, name: str) -> dict[str, np.ndarray]:
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        pytest.skip("RSSPADE_REAL_DATA does not name the folder with the real tiles")
    path = Path(root) / folder / f"{name}.tif"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with rasterio.open(path) as src:
        values = src.read()
    return dict(zip(L1C if len(values) == 13 else L2A, values, strict=True))


def only(bands: dict[str, np.ndarray], names: tuple[str, ...] | list[str]) -> dict[str, np.ndarray]:
    return {name: bands[name] for name in names}


REAL = [("282D_485L_3_3", 0), ("433D_629L_3_1", -1000), ("637U_59R_1_3", 0)]


@pytest.mark.parametrize("bands", [L2A, FOUR], ids=["12 bands", "4 bands"])
@pytest.mark.parametrize(("name", "offset"), REAL)
def test_real_tiles_show_their_offset(name: str, offset: int, bands: list[str]) -> None:
    tile = only(real_tile("terramesh/S2L2A", name), bands)
    assert detect_offset(tile, where=name) == offset
    assert detect_offset({band: values[::3, 1::3] for band, values in tile.items()}, where=name) == offset


@pytest.mark.parametrize("name", ["282D_485L_3_3", "637U_59R_1_3"])
def test_real_tiles_with_the_offset_put_in_never_show_none(name: str) -> None:
    shifted = {band: values + 1000 for band, values in real_tile("terramesh/S2L2A", name).items()}
    assert detect_offset(shifted, where=name) == -1000


@pytest.mark.parametrize("bands", [L1C, L2A, FOUR], ids=["13 bands", "without cirrus", "4 bands"])
@pytest.mark.parametrize("folder", ["s2_cloudfree", "s2_cloudy"])
def test_a_real_top_of_atmosphere_scene_without_offset_is_known(folder: str, bands: list[str]) -> None:
    tile = real_tile(f"sen12mscr/{folder}", "ROIs1970_fall_139_p839")
    assert detect_offset(only(tile, bands)) == 0


ORDINARY = [
    [("forest", 0.5), ("crops", 0.5)],
    [("forest", 0.2), ("crops", 0.5), ("grass", 0.2), ("water", 0.1)],
    [("water", 0.95), ("forest", 0.05)],
    [("grass", 0.9), ("water", 0.1)],
    [("desert", 0.9), ("water", 0.1)],
    [("snow", 0.6), ("forest", 0.3), ("water", 0.1)],
    [("cloud", 0.5), ("forest", 0.4), ("water", 0.1)],
]


@pytest.mark.parametrize("offset", [0, -1000])
@pytest.mark.parametrize("parts", ORDINARY, ids=lambda parts: "+".join(name for name, _ in parts))
def test_ordinary_scenes_show_their_offset(parts: list[tuple[str, float]], offset: int) -> None:
    assert detect_offset(numbers(*parts, offset=offset)) == offset


@pytest.mark.parametrize("offset", [0, -1000])
@pytest.mark.parametrize(
    "parts", [ORDINARY[1], [("lush forest", 0.5), ("crops", 0.5)]], ids=["with water", "without water"]
)
def test_four_bands_of_a_green_scene_are_enough(parts: list[tuple[str, float]], offset: int) -> None:
    assert detect_offset(numbers(*parts, offset=offset, bands=FOUR)) == offset


def test_snow_is_bright_where_one_looks_and_dark_in_the_short_wave_bands() -> None:
    assert detect_offset(numbers(("snow", 1.0), offset=0)) == 0


@pytest.mark.parametrize(
    ("parts", "bands", "offset"),
    [
        ([("desert", 1.0)], L2A, 0),
        ([("desert", 1.0)], L2A, -1000),
        ([("desert", 1.0)], FOUR, 0),
        ([("desert", 1.0)], FOUR, -1000),
        ([("snow", 1.0)], FOUR, 0),
        ([("snow", 1.0)], FOUR, -1000),
        ([("cloud", 1.0)], L2A, 0),
        ([("cloud", 1.0)], L2A, -1000),
        ([("cloud", 1.0)], FOUR, 0),
        ([("forest", 0.5), ("crops", 0.5)], FOUR, -1000),  # nothing dark in the near infrared, nothing very green
    ],
)
def test_where_nothing_dark_is_in_the_scene_it_refuses_to_guess(
    parts: list[tuple[str, float]], bands: list[str], offset: int
) -> None:
    with pytest.raises(
        InputError, match=r"s2\.tif: expected a processing baseline .* --s2-offset 0 or --s2-offset -1000"
    ):
        detect_offset(numbers(*parts, offset=offset, bands=bands), where="s2.tif")


@settings(max_examples=120)
@given(
    shares=st.lists(st.floats(0, 1), min_size=len(SURFACES), max_size=len(SURFACES)).filter(lambda s: sum(s) > 0.01),
    offset=st.sampled_from([0, -1000]),
    bands=st.sampled_from([L2A, list(FOUR)]),
    spread=st.floats(0.02, 0.35),
    seed=st.integers(0, 999),
)
def test_it_may_refuse_but_is_never_wrong(
    shares: list[float], offset: int, bands: list[str], spread: float, seed: int
) -> None:
    parts = [(name, share / sum(shares)) for name, share in zip(SURFACES, shares, strict=True)]
    try:
        found = detect_offset(numbers(*parts, offset=offset, bands=bands, spread=spread, seed=seed))
    except InputError:
        return
    assert found == offset


def test_a_dark_bare_plain_without_offset_is_not_taken_for_one_with() -> None:
    # Basalt and dry soil: every band begins a little above 1000, as the dark end of a scene with offset does.
    rng = np.random.default_rng(0)
    looks = np.linspace(0.115, 0.17, len(L2A))
    bare = {name: np.rint(rng.normal(level, 0.005, (64, 64)) * 10000) for name, level in zip(L2A, looks, strict=True)}
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(bare)
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(only(bare, FOUR))


def test_hazy_steppe_at_the_top_of_the_atmosphere_is_not_taken_for_an_offset() -> None:
    rng = np.random.default_rng(1)
    looks = {"blue": 0.118, "green": 0.112, "red": 0.115, "nir": 0.19}
    steppe = {name: np.rint(rng.normal(level, 0.008, (64, 64)) * 10000) for name, level in looks.items()}
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(steppe)


@pytest.mark.parametrize(("level", "offset"), [(15, 0), (1015, -1000)])
def test_the_cirrus_band_tells_over_any_ground(level: int, offset: int) -> None:
    bands = numbers(("desert", 1.0), offset=offset)
    bands["cirrus"] = np.random.default_rng(0).normal(level, 3, (64, 64)).round()
    assert detect_offset(bands) == offset


def test_cirrus_cloud_over_the_whole_scene_tells_nothing() -> None:
    bands = numbers(("cloud", 1.0), offset=0)
    bands["cirrus"] = np.random.default_rng(0).normal(1500, 200, (64, 64)).round()
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(bands)


BRIGHT = numbers(("desert", 1.0), offset=0)


@pytest.mark.parametrize(
    ("names", "offset"),
    [
        (["S2B_MSIL2A_20230704T100031_N0509_R122_T33TWN_20230704T142300.SAFE"], -1000),
        (["S2B_MSIL2A_20220125T100031_N0400_R122_T33TWN_20220125T142300"], -1000),
        (["S2A_MSIL1C_20180704T100031_N0206_R122_T33TWN_20180704T142300.SAFE"], 0),
        (["COPERNICUS_S2_SR_HARMONIZED", "S2B_MSIL2A_20230704T100031_N0509_R122_T33TWN_x.tif"], 0),
    ],
)
def test_the_name_tells_where_the_pixels_do_not(names: list[str], offset: int) -> None:
    assert detect_offset(BRIGHT, names=names) == offset


@pytest.mark.parametrize(
    "names",
    [
        ["unharmonized", "x.tif"],
        ["S2A_MSIL2A_20180704T100031_N9999_R122_T33TWN.tif"],
        ["scene_2023.tif"],
        ["a_N0206_b.tif", "c_N0400_d.tif"],
    ],
)
def test_a_name_that_says_nothing_or_two_things_does_not_decide(names: list[str]) -> None:
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(BRIGHT, names=names)


@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({"BOA_ADD_OFFSET_B2": "-1000"}, -1000),
        ({"RADIO_ADD_OFFSET": "0"}, 0),
        ({"PROCESSING_BASELINE": "05.09"}, -1000),
        ({"PROCESSING_BASELINE": "02.06"}, 0),
    ],
)
def test_metadata_tell_first(tags: dict[str, str], offset: int) -> None:
    assert detect_offset(BRIGHT, tags=tags, names=["x_N0206_y.tif" if offset else "x_N0509_y.tif"]) == offset


def test_a_name_that_the_pixels_contradict_is_refused() -> None:
    dark = numbers(("forest", 0.7), ("water", 0.3), offset=0)
    with pytest.raises(InputError, match=r"as the name says, found pixels that look like an offset of 0"):
        detect_offset(dark, names=["S2B_MSIL2A_20230704T100031_N0509_R122_T33TWN_x.tif"])


def test_zeros_and_missing_values_are_no_evidence() -> None:
    bands = {name: values.astype(np.float32) for name, values in numbers(("desert", 1.0), offset=0).items()}
    for values in bands.values():
        values[:10] = 0
        values[10:15] = np.nan
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(bands)


def test_too_few_pixels_are_no_evidence() -> None:
    few = {name: values[:10, :10] for name, values in numbers(("forest", 1.0), offset=0).items()}
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(few)


HARMONISED = {
    "id": "COPERNICUS/S2_SR_HARMONIZED/2023_T33TWN",
    "BOA_ADD_OFFSET_B2": "-1000",
    "PROCESSING_BASELINE": "05.09",
}


def test_a_harmonised_collection_keeps_the_properties_of_its_products_and_has_no_offset() -> None:
    assert detect_offset(numbers(("forest", 0.7), ("water", 0.3), offset=0), tags=HARMONISED) == 0
    assert detect_offset(BRIGHT, tags=HARMONISED) == 0


@pytest.mark.parametrize("tags", [{"BOA_ADD_OFFSET_B2": "-1000"}, {"PROCESSING_BASELINE": "05.09"}])
def test_metadata_that_would_make_dark_ground_far_too_dark_are_refused(tags: dict[str, str]) -> None:
    dark = numbers(("forest", 0.7), ("water", 0.3), offset=0)
    with pytest.raises(
        InputError, match=r"an offset of -1000, as the metadata says, found pixels that look like an offset of 0"
    ):
        detect_offset(dark, tags=tags)


def test_a_tool_that_harmonises_says_nothing_of_the_offset() -> None:
    assert (
        detect_offset(BRIGHT, tags={"TIFFTAG_SOFTWARE": "histogram harmonized mosaic", "BOA_ADD_OFFSET_B2": "-1000"})
        == -1000
    )


def test_a_place_in_a_name_is_no_processing_baseline() -> None:
    with pytest.raises(InputError, match=r"--s2-offset"):
        detect_offset(BRIGHT, names=["N0045_E00510", "N3045_E00510", "scene.tif"])
