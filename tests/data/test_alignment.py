import numpy as np
import pytest
from damage import change_pixels, failures, findings
from scipy.ndimage import gaussian_filter

from rsspade.data.alignment import SEARCH_PX, agreement, estimate_shift, optical_layers, radar_layers
from rsspade.data.check_report import Level

NAMES = ("blue", "green", "red", "nir")


def land(seed, size=128):
    """Optics and radar of one made-up place, with a margin to cut shifted pieces from."""
    rng = np.random.default_rng(seed)
    whole = size + 2 * SEARCH_PX
    votes = np.stack([gaussian_filter(rng.normal(size=(whole, whole)), 4) for _ in range(4)])
    kind = votes.argmax(axis=0)
    # Forest (1) is dark in optics and bright in radar, water (0) dark in both: no common sign.
    visible = np.array([0.05, 0.03, 0.10, 0.20])[kind] + rng.normal(0, 0.004, (whole, whole))
    nir = np.array([0.03, 0.25, 0.20, 0.22])[kind] + rng.normal(0, 0.004, (whole, whole))
    speckle = 10 * np.log10(rng.gamma(4.4, 1 / 4.4, (2, whole, whole)))
    radar = np.array([-18.0, -8.0, -13.0, -9.0])[kind] + speckle + np.array([0, -7])[:, None, None]
    return np.stack([visible * 0.8, visible, visible * 1.1, nir]), radar


def cut(image, size=128, down=0, right=0):
    """A piece in which the content lies `down` rows lower and `right` columns further right."""
    row, column = SEARCH_PX - down, SEARCH_PX - right
    return image[:, row : row + size, column : column + size]


def surface(optical, radar, optical_valid=None, radar_valid=None):
    whole = np.ones(optical.shape[1:], bool)
    seen = whole if optical_valid is None else optical_valid
    swept = whole if radar_valid is None else radar_valid
    return agreement(radar_layers(radar, swept), optical_layers(optical, NAMES, seen), swept, seen)


@pytest.mark.parametrize("down", [-8, -5, 0, 5])
@pytest.mark.parametrize("right", [-5, 0, 2, 8])
def test_shift_is_found_to_a_fraction_of_a_pixel(down, right):
    optical, radar = land(1)
    shift = estimate_shift(surface(cut(optical), cut(radar, down=down, right=right)))
    assert shift.significant
    assert (shift.down, shift.right) == pytest.approx((-down, -right), abs=0.35)


def test_unrelated_places_give_no_answer():
    believed = [
        estimate_shift(surface(cut(land(i)[0]), cut(land(100 + i)[1]))).significant for i in range(12)
    ]  # fmt: skip
    assert not any(believed)


def test_radar_turned_to_its_negative_gives_the_same_shift():
    optical, radar = land(2)
    plain, negative = (estimate_shift(surface(cut(optical), cut(sign * radar, down=4))) for sign in (1, -1))
    assert (negative.down, negative.right) == pytest.approx((plain.down, plain.right), abs=0.3)
    assert negative.significant


def test_holes_do_not_draw_the_estimate_to_themselves():
    """The same hole in both, radar shifted: the edges of the hole agree at no shift, the land at 5."""
    optical, radar = (cut(land(3)[0]).copy(), cut(land(3)[1], down=5).copy())
    hole = np.zeros((128, 128), bool)
    hole[20:50, 30:90] = True
    optical[:, hole], radar[:, hole] = np.nan, np.nan
    shift = estimate_shift(surface(optical, radar, ~hole, ~hole))
    assert shift.significant
    assert (shift.down, shift.right) == pytest.approx((-5, 0), abs=0.35)


def test_tiles_too_small_to_tell_alone_tell_together():
    pairs = [(cut(land(i, 64)[0], 64), cut(land(i, 64)[1] + 4 * noise(i), 64, right=5)) for i in range(20, 32)]
    surfaces = [surface(*pair) for pair in pairs]
    together = estimate_shift(np.sum(surfaces, axis=0))
    assert together.significant
    assert together.right == pytest.approx(-5, abs=0.5)
    assert together.score > np.median([estimate_shift(s).score for s in surfaces])


def noise(seed, size=64 + 2 * SEARCH_PX):
    return np.random.default_rng(seed).normal(size=(2, size, size))


def test_nothing_to_compare_is_no_surface():
    flat = np.full((4, 64, 64), 0.1)
    assert surface(flat, cut(land(1)[1], 64)) is None  # a constant image has no detail
    optical, radar = cut(land(1)[0], 64), cut(land(1)[1], 64)
    assert surface(optical[:, :30, :30], radar[:, :30, :30]) is None  # smaller than the search
    scarce = np.zeros((64, 64), bool)
    scarce[:10] = True
    assert surface(optical, radar, scarce) is None


def test_radar_shifted_by_5_px_fails_check_with_its_scene_named(make_dataset, tmp_path):
    make_dataset(tmp_path / "d", scenes=3, grid=(1, 2), tile_size=128)
    assert failures(tmp_path / "d") == {}
    for path in sorted((tmp_path / "d" / "S1").glob("s1_*.tif")):
        change_pixels(path, lambda v: np.roll(v, 5, axis=2))
    finding = failures(tmp_path / "d")["alignment.shift"]
    assert finding.places == ["s1"]
    assert finding.numbers["right_px"] == pytest.approx(-5, abs=0.35)
    assert finding.numbers["down_px"] == pytest.approx(0, abs=0.35)


def test_radar_of_another_place_cannot_be_told(make_dataset, tmp_path):
    make_dataset(tmp_path / "d", scenes=3, tile_size=128)
    make_dataset(tmp_path / "other", scenes=3, tile_size=128, seed=9)
    for path in sorted((tmp_path / "other" / "S1").glob("*.tif")):
        path.replace(tmp_path / "d" / "S1" / path.name)
    found = findings(tmp_path / "d", Level.NOTE)
    assert found["alignment.unclear"].level is Level.NOTE
    assert not [c for c in found if c in ("alignment.shift", "alignment.together")]


def test_small_scenes_that_share_one_shift_fail_together(make_dataset, tmp_path):
    make_dataset(tmp_path / "d", scenes=12, grid=(1, 1), tile_size=64)
    for path in sorted((tmp_path / "d" / "S1").glob("*.tif")):
        seed = int(path.stem.split("_")[0][1:])
        # Noise that leaves little to tell from a single tile.
        change_pixels(path, lambda v, s=seed: np.roll(v, 6, axis=1) + 40 * noise(s, 64))
    finding = findings(tmp_path / "d")["alignment.together"]
    assert finding.level is Level.FAIL
    assert finding.numbers["down_px"] == pytest.approx(-6, abs=0.6)
    assert len(finding.places) >= 4
