"""Clouds of a real image filled: what is clear stays, what is not fits to it."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from generate_runs import save_run
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scene_runs import files, rewritten, scene
from scipy.ndimage import gaussian_filter

from rsspade.synthesis.cog import Encoding
from rsspade.synthesis.correction import CORRECTION_MARGIN, LATTICE, SceneFit, local_correction

TILE = 128


@pytest.fixture(scope="module")
def land(tmp_path_factory, make_dataset):
    folder = tmp_path_factory.mktemp("fill") / "land"
    make_dataset(folder, scenes=3, grid=(1, 1), tile_size=TILE, clouds=True)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, variety=4, pixel_size_m=10.0)
    return folder


def first(land, folder):
    return Path(files(land, folder)[0])


def read(path):
    with rasterio.open(path) as src:
        return src.read()


@given(hnp.arrays(np.uint16, (4, 9, 9), elements=st.integers(0, 65534)), st.sampled_from([0.0, -0.1]))
def test_numbers_survive_the_way_to_reflectance_and_back(numbers, offset):
    encoding = Encoding(offset)
    np.testing.assert_array_equal(encoding.encode(encoding.decode(numbers), np.ones((9, 9), bool)), numbers)


DIALECTS = {
    "reflectance": (lambda v: v.clip(0), {}, 0.0),
    "reflectance, slightly negative in shadows": (lambda v: v - np.float32(0.03), {}, -0.1),
    "digital numbers, negative in shadows": (
        lambda v: np.rint((v - 0.03) * 1e4).astype(np.int16),
        {"nodata": -9999},
        -0.1,
    ),
    "digital numbers": (lambda v: np.rint(v * 1e4).astype(np.uint16), {"nodata": 0}, 0.0),
    "digital numbers with an offset": (lambda v: np.rint(v * 1e4 + 1000).astype(np.uint16), {"nodata": 0}, -0.1),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_clear_pixels_keep_their_numbers_and_the_rest_is_filled(tmp_path, land, run, name):
    change, new, offset = DIALECTS[name]
    image = rewritten(first(land, "S2_CLOUDY"), tmp_path / "cloudy.tif", change, **new)
    mask = first(land, "CLOUD")
    more = ["--s2-offset", "-1000" if name.endswith("an offset") else "0"]
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", mask, *more) == 0
    clear, stored = read(mask)[0] == 0, read(image)
    reflectance = stored if stored.dtype.kind == "f" else stored / 1e4
    given = stored.dtype == np.uint16
    expected = stored if given else np.rint((reflectance.astype(np.float64) - offset) * 1e4).astype(np.uint16)
    assert ((stored < 0).any()) == ("negative" in name)
    made = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(made[:, clear], expected[:, clear])
    assert (made != 65535).all()
    assert (made[:, ~clear] != expected[:, ~clear]).any(axis=0).mean() > 0.9
    with rasterio.open(tmp_path / "a.tif") as src:
        assert src.offsets == pytest.approx((offset,) * 4)
        assert src.tags()["filled"] == "cloudy.tif"


def test_shadows_and_unknown_pixels_are_filled_too_and_have_a_spread(tmp_path, land, run):
    mask = rewritten(
        first(land, "CLOUD"),
        tmp_path / "mask.tif",
        lambda v: np.resize(np.array([0, 1, 2, 255, 7], np.uint8), v.shape),
        nodata=None,
    )
    options = ["--fill", first(land, "S2_CLOUDY"), "--mask", mask, "--outputs", "mean,std", "--samples", 2]
    assert scene(run, land, tmp_path / "a.tif", *options) == 0
    made, clear = read(tmp_path / "a.tif"), read(mask)[0] == 0
    assert (made[4:, clear] == 0).all()
    assert (made[4:, ~clear].max(axis=0) > 0).mean() > 0.9
    expected = np.rint(read(first(land, "S2_CLOUDY")).astype(np.float64) * 1e4)
    assert (made[:4, ~clear] != expected[:, ~clear]).any(axis=0).mean() > 0.9


def test_a_mask_of_classes_is_refused_and_the_filled_share_is_told(tmp_path, land, run, capsys):
    image, mask = first(land, "S2_CLOUDY"), first(land, "CLOUD")
    classes = rewritten(mask, tmp_path / "scl.tif", lambda v: np.where(v == 0, 4, 9).astype(np.uint8), nodata=None)
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", classes) == 2
    told = capsys.readouterr().err
    assert "expected 0 where the image is clear, found no 0, but 4, 9." in told
    assert "Traceback" not in told
    assert not (tmp_path / "a.tif").exists()
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", mask) == 0
    share = (read(mask)[0] != 0).mean()
    assert f"{1 - share:.1%} of the pixels kept from {Path(image).name}, {share:.1%} filled" in capsys.readouterr().out


def test_a_scene_classification_with_a_margin_of_0_is_refused(tmp_path, land, run, capsys):
    image, mask = first(land, "S2_CLOUDY"), first(land, "CLOUD")
    classes = np.where(np.arange(TILE) < 9, 0, np.where(np.arange(TILE) % 3 == 0, 9, np.arange(TILE) % 2 + 4)).astype(
        np.uint8
    )
    scl = rewritten(mask, tmp_path / "scl.tif", lambda v: np.broadcast_to(classes, v.shape), nodata=None)
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", scl) == 2
    assert "expected 0 where the image is clear, found 4, 5 beside 0. Make a mask of it" in capsys.readouterr().err
    gone = rewritten(mask, tmp_path / "gone.tif", lambda v: (v != 0).astype(np.uint8), nodata=0)
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", gone) == 2
    assert "found 0 declared as nodata. Say that 0 is a value" in capsys.readouterr().err


def test_a_mask_of_shares_has_clear_pixels_where_it_is_exactly_0(tmp_path, land, run, capsys):
    image, mask = first(land, "S2_CLOUDY"), first(land, "CLOUD")
    shares = np.random.default_rng(0).random((1, TILE, TILE)).astype(np.float32) * 0.9 + 0.01
    never = rewritten(mask, tmp_path / "never.tif", lambda v: shares, nodata=None)
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", never) == 2
    assert "found no 0, but 0.01" in capsys.readouterr().err
    percent = rewritten(
        mask,
        tmp_path / "percent.tif",
        lambda v: np.where(v == 0, 0, np.rint(shares * 100)).astype(np.uint8),
        nodata=None,
    )
    assert scene(run, land, tmp_path / "a.tif", "--fill", image, "--mask", percent) == 0
    assert f"{(read(mask) == 0).mean():.1%} of the pixels kept" in capsys.readouterr().out


def test_what_is_kept_filled_and_empty_is_told_of_the_pixels_and_not_of_the_mask(tmp_path, land, run, capsys):
    hole, gap = np.zeros((TILE, TILE), bool), np.zeros((TILE, TILE), bool)
    hole[:, : TILE // 4], gap[: TILE // 2] = True, True  # the radar's and the image's
    radar = rewritten(first(land, "s1"), tmp_path / "s1.tif", lambda v: np.where(hole, np.float32(np.nan), v))
    image = rewritten(first(land, "S2_CLOUDY"), tmp_path / "half.tif", lambda v: np.where(gap, np.float32(np.nan), v))
    clear = rewritten(first(land, "CLOUD"), tmp_path / "clear.tif", np.zeros_like, nodata=None)
    assert scene(run, land, tmp_path / "a.tif", "--s1", radar, "--fill", image, "--mask", clear, sources=()) == 0
    told = "50.0% of the pixels kept from half.tif, 37.5% filled, 12.5% empty, where no source holds a value"
    assert told in capsys.readouterr().out
    with rasterio.open(tmp_path / "a.tif") as src:
        assert (src.read(1) == 65535).mean() == pytest.approx(0.125)
        assert src.tags()["synthetic"] == "where the mask is not 0 or the image holds no data"


def test_pixels_without_any_source_stay_empty_unless_they_are_clear(tmp_path, land, run):
    hole = np.zeros((TILE, TILE), bool)
    hole[30:60, 20:90] = True
    radar = rewritten(first(land, "s1"), tmp_path / "s1.tif", lambda v: np.where(hole, np.float32(np.nan), v))
    options = ["--s1", radar, "--fill", first(land, "S2_CLOUDY"), "--mask", first(land, "CLOUD")]
    assert scene(run, land, tmp_path / "a.tif", *options, sources=()) == 0
    gap = read(first(land, "CLOUD"))[0] != 0
    np.testing.assert_array_equal((read(tmp_path / "a.tif") == 65535).all(axis=0), hole & gap)


REFUSALS = {
    "a mask of another size": (lambda path, out: rewritten(path, out, lambda v: v[:, :100, :90]), r"--mask .*: expected 128×128 pixels, as many as .* has, found 90×100"),
    "a mask of another place": (
        lambda path, out: rewritten(path, out, lambda v: v, transform=rasterio.Affine(10, 0, 0, 0, -10, 0)),
        r"--mask .*: expected the place of .* found EPSG:32632, upper left 0, 0",
    ),
    "a mask of several bands": (lambda path, out: rewritten(path, out, lambda v: np.repeat(v, 2, axis=0)), r"--mask .*: expected one band, 0 where clear, found 2 bands"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_mask_that_does_not_lie_on_the_image_is_refused(tmp_path, land, run, capsys, name):
    damage, message = REFUSALS[name]
    mask = damage(first(land, "CLOUD"), tmp_path / "mask.tif")
    assert scene(run, land, tmp_path / "a.tif", "--fill", first(land, "S2_CLOUDY"), "--mask", mask) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0]), lines[0]
    assert [p.name for p in tmp_path.iterdir()] == ["mask.tif"]


def test_another_grid_than_that_of_the_image_is_refused(tmp_path, land, run, capsys):
    grid = rewritten(first(land, "s1"), tmp_path / "grid.tif", lambda v: v[:, 1:])
    options = ["--fill", first(land, "S2_CLOUDY"), "--mask", first(land, "CLOUD"), "--grid", grid]
    assert scene(run, land, tmp_path / "a.tif", *options) == 2
    assert "whose pixels are kept, found another" in capsys.readouterr().err


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1), st.floats(0, 0.2), st.floats(-0.1, 0.1))
@settings(max_examples=10)
def test_a_correction_lies_between_the_differences_and_zero(rows, columns, seed, spread, middle):
    rng = np.random.default_rng(seed)
    shape = (rows * LATTICE, columns * LATTICE)
    difference = (middle + rng.uniform(-spread, spread, (2, *shape))).clip(-0.2, 0.2).astype(np.float32)
    known = gaussian_filter(rng.normal(size=shape), 5) > 0
    field = local_correction(difference, known)
    assert field.max() <= max(difference[:, known].max(initial=0), 0) + 1e-6
    assert field.min() >= min(difference[:, known].min(initial=0), 0) - 1e-6


def test_a_correction_does_not_depend_on_the_window():
    rng = np.random.default_rng(0)
    shape = (LATTICE, 24 * LATTICE)
    difference = rng.normal(0, 0.05, (2, *shape)).astype(np.float32)
    known = gaussian_filter(rng.normal(size=shape), 20) > 0
    whole = local_correction(difference, known)
    start, end = 10 * LATTICE, 12 * LATTICE
    window = np.s_[..., start - CORRECTION_MARGIN : end + CORRECTION_MARGIN]
    part = local_correction(difference[window], known[window])[..., CORRECTION_MARGIN : CORRECTION_MARGIN + end - start]
    np.testing.assert_array_equal(part, whole[..., start:end])


def test_a_difference_that_varies_smoothly_is_found_inside_the_gap():
    y, x = np.mgrid[:256, :256] / 256
    truth = 0.05 * np.stack([x, y - 0.5]).astype(np.float32)
    known = (x - 0.5) ** 2 + (y - 0.5) ** 2 > 0.1**2
    noisy = truth + np.random.default_rng(0).normal(0, 0.01, truth.shape).astype(np.float32)
    found = local_correction(np.where(known, noisy, 9), known)
    assert np.abs(found - truth)[:, ~known].mean() < 0.005
    assert np.abs(found - truth)[:, ~known].max() < 0.02


def test_what_a_whole_scene_shares_is_found_from_any_pieces():
    rng = np.random.default_rng(0)
    synthetic = rng.uniform(0, 0.3, (4, 64, 64)).astype(np.float32)
    real = synthetic * 1.2 + 0.03
    known = rng.random((64, 64)) > 0.5
    fit = SceneFit(4).add(synthetic[:, :20], real[:, :20], known[:20]).add(synthetic[:, 20:], real[:, 20:], known[20:])
    assert np.abs(synthetic + fit.predict(synthetic) - real).max() < 0.003
    assert np.abs(fit.predict(synthetic + 50)).max() <= 0.2
    assert not SceneFit(4).predict(synthetic).any()
