"""The accumulated scores: their layout, and that no way of dealing out the tiles changes them."""

import json
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsspade.metrics import DISPLAY, PADDING, REFLECTANCE, ImageScores, psnr, ssim

BANDS = ("blue", "green", "red", "nir")
Tiles = tuple[Tensor, Tensor, Tensor]


def make_tiles(seed: int, *, tiles: int = 6, size: int = 16, masked: float = 0.001) -> Tiles:
    """Prediction, truth, mask; reflectance partly outside what the display shows."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(tiles, 4, size, size, generator=rng) * 0.5
    prediction = truth + 0.05 * torch.randn(truth.shape, generator=rng)
    return prediction, truth, torch.rand(tiles, size, size, generator=rng) >= masked


def scored(tiles: Tiles, groups: list[list[int]]) -> ImageScores:
    """The scores of the tiles, handed over in these batches."""
    scores = ImageScores(BANDS)
    for group in groups:
        prediction, truth, valid = (t[group] for t in tiles)
        scores.add(prediction, truth, valid=valid, tile=torch.tensor(group))
    return scores


def flat(scores: dict) -> dict[str, float]:
    found = {}
    for name, value in scores.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": v for inner, v in flat(value).items()}
        else:
            found[name] = math.nan if value is None else value
    return found


def test_the_layout_is_that_of_the_contract_and_valid_json():
    scores = scored(make_tiles(0), [[0, 1, 2], [3, 4, 5]]).compute()
    assert {"psnr", "ssim", "sam_rad", "sam_deg", "mae", "rmse", "ergas", "per_band", "reflectance", "clipped"} <= set(
        scores
    )
    assert {"psnr", "ssim", "sam_rad"} <= set(scores["reflectance"])
    assert tuple(scores["per_band"]) == BANDS
    assert scores["tiles"] == 6
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


@pytest.mark.parametrize("space", [DISPLAY, REFLECTANCE])
def test_the_scores_are_the_means_that_the_contract_names(space):
    prediction, truth, valid = tiles = make_tiles(1, masked=0.002)
    valid[2, :, 8:] = False  # no whole window, and only half the pixels
    found = scored(tiles, [[0, 1, 2, 3, 4, 5]]).compute()
    found = found if space is DISPLAY else found["reflectance"]
    shown = [np.clip(image.double().numpy(), 0, space.highest) / space.highest for image in (prediction, truth)]
    masks = valid.numpy()
    p, t = (np.concatenate([image[n][:, masks[n]] for n in range(6)], axis=1) for image in shown)  # (bands, pixels)
    # Tile by tile, then over tiles.
    mean_squared = [((shown[0][n] - shown[1][n])[:, masks[n]] ** 2).mean() for n in range(6)]
    assert found["psnr"] == pytest.approx(np.mean([-10 * math.log10(m) for m in mean_squared]), abs=1e-9)
    similar = ssim(space.apply(prediction.double()), space.apply(truth.double()), valid)
    assert found["ssim"] == pytest.approx(similar.nanmean().item(), abs=1e-9)
    # Over all valid pixels.
    cosine = (p * t).sum(axis=0) / np.linalg.norm(p, axis=0) / np.linalg.norm(t, axis=0)
    assert found["sam_rad"] == pytest.approx(np.arccos(np.clip(cosine, -1, 1)).mean(), abs=1e-6)
    assert found["sam_deg"] == pytest.approx(math.degrees(found["sam_rad"]))
    assert found["mae"] == pytest.approx(np.abs(p - t).mean(), abs=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt(((p - t) ** 2).mean()), abs=1e-9)
    band_mse = ((p - t) ** 2).mean(axis=1)
    assert found["ergas"] == pytest.approx(100 * math.sqrt((band_mse / t.mean(axis=1) ** 2).mean()), abs=1e-9)
    red = found["per_band"]["red"]
    assert (red["mae"], red["rmse"]) == pytest.approx((np.abs(p - t)[2].mean(), math.sqrt(band_mse[2])), abs=1e-9)
    only_red = [space.apply(image.double())[:, 2:3] for image in (prediction, truth)]
    assert red["psnr"] == pytest.approx(psnr(*only_red, valid).mean().item(), abs=1e-9)
    assert red["ssim"] == pytest.approx(ssim(*only_red, valid).nanmean().item(), abs=1e-9)


def test_clipped_pixels_are_counted_among_the_valid_ones():
    truth = torch.full((1, 4, 2, 2), 0.2)
    prediction = truth.clone()
    truth[0, 1, 0, 0] = 0.5
    prediction[0, 3, 0, 1] = -0.01
    prediction[0, 0, 1, 1] = 5.0
    valid = torch.tensor([[[True, True], [True, False]]])
    found = scored((prediction, truth, valid), [[0]]).compute()
    shares = [found["clipped"], found["clipped_prediction"], found["clipped_truth"]]
    assert shares == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    below = found["reflectance"]
    assert [below["clipped"], below["clipped_prediction"], below["clipped_truth"]] == pytest.approx([1 / 3, 1 / 3, 0])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(6)), cut=st.integers(1, 5), half=st.integers(0, 6))
def test_batches_order_and_processes_do_not_matter(seed, order, cut, half):
    tiles = make_tiles(seed)
    expected = flat(scored(tiles, [list(range(6))]).compute())
    batches = [order[i : i + cut] for i in range(0, 6, cut)]
    assert flat(scored(tiles, batches).compute()) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    parts = [scored(tiles, [part] if part else []) for part in (order[:half], order[half:])]
    states = [part.state() for part in parts]
    # What a gather across processes does: pads all to the longest, one after the other.
    longest = max(len(state) for state in states)
    padded = [torch.nn.functional.pad(s, (0, 0, 0, longest - len(s)), value=PADDING) for s in states]
    merged = ImageScores(BANDS)
    merged.merge(torch.cat(padded))
    assert flat(merged.compute()) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_the_result_is_the_same_to_the_last_bit_in_any_order():
    tiles = make_tiles(3, tiles=40)
    order = list(range(40))
    expected = scored(tiles, [[n] for n in order]).compute()
    random.Random(0).shuffle(order)
    assert scored(tiles, [[n] for n in order]).compute() == expected


def test_a_tile_that_two_processes_were_dealt_counts_once():
    tiles = make_tiles(4)
    expected = scored(tiles, [[0, 1, 2, 3, 4, 5]])
    repeated = scored(tiles, [[0, 1, 2], [3, 4, 5], [0, 1]])
    assert repeated.compute() == expected.compute()


def test_two_tiles_under_one_number_are_refused():
    prediction, truth, valid = make_tiles(5, tiles=2)
    scores = ImageScores(BANDS)
    scores.add(prediction, truth, valid=valid, tile=torch.tensor([7, 7]))
    with pytest.raises(ValueError, match="tile 7 was scored twice, each time against another truth or mask"):
        scores.compute()


def test_tiles_that_cannot_be_scored_are_left_out_and_counted():
    prediction, truth, valid = make_tiles(6, masked=0)
    valid[4] = False  # no pixel at all
    valid[5, 1:] = False  # pixels, but no window
    truth[3, 0, 2, 2] = math.nan  # no truth there, whatever the mask says
    found = scored((prediction, truth, valid), [[0, 1, 2], [3, 4, 5]]).compute()
    assert (found["tiles"], found["tiles_without_pixels"], found["tiles_without_ssim"]) == (5, 1, 1)
    assert found["pixels"] == 4 * 256 - 1 + 16
    clean = valid.clone()
    clean[3, 2, 2] = False
    assert found == scored((prediction, truth.nan_to_num(0.1), clean), [[0, 1, 2, 3, 5, 4]]).compute()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(8, 8), (0, 0)])
def test_a_broken_prediction_has_no_score(value, place):
    prediction, truth, valid = make_tiles(7, masked=0)
    prediction[2, 1, place[0], place[1]] = value
    if place == (0, 0):
        valid[2, 1, 1] = False  # no window of SSIM holds the broken pixel, or it is zero where the truth is
        truth[2, :, 0, 0] = 0
    found = scored((prediction, truth, valid), [[0, 1, 2, 3, 4, 5]]).compute()
    names = ("psnr", "ssim", "sam_rad", "sam_deg", "mae", "rmse", "ergas")
    assert [found[n] for n in names] == [found["reflectance"][n] for n in names] == [None] * 7
    assert found["not_finite_pixels"] == 1
    json.dumps(found, allow_nan=False)


def test_scores_of_nothing_are_undefined_not_zero():
    empty = ImageScores(BANDS).compute()
    dark = scored(
        (torch.zeros(1, 4, 16, 16), torch.zeros(1, 4, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool)), [[0]]
    )
    assert (empty["psnr"], empty["ssim"], empty["sam_rad"], empty["clipped"], empty["tiles"]) == (
        None,
        None,
        None,
        None,
        0,
    )
    found = dark.compute()
    assert (found["psnr"], found["ssim"], found["sam_rad"], found["ergas"]) == (100.0, pytest.approx(1.0), 0.0, None)


def test_each_tile_has_a_row_of_its_own():
    tiles = make_tiles(8, masked=0)
    tiles[2][1] = False
    rows = scored(tiles, [[5, 1], [0, 2]]).per_tile()
    assert [row["tile"] for row in rows] == [0, 1, 2, 5]
    assert rows[1]["psnr"] is None
    alone = scored(tiles, [[2]]).compute()
    for name in ("psnr", "ssim", "sam_rad", "mae", "rmse", "ergas"):
        assert rows[2][name] == alone[name]
        assert rows[2][f"reflectance_{name}"] == alone["reflectance"][name]


def test_what_does_not_fit_is_refused():
    prediction, truth, valid = make_tiles(9, tiles=2)
    scores = ImageScores(BANDS[:3])
    with pytest.raises(ValueError, match=r"expected 3 bands .*, found 4"):
        scores.add(prediction, truth, valid=valid, tile=torch.arange(2))
    with pytest.raises(ValueError, match=r"expected tile numbers int64 \(B,\), found torch.float32"):
        ImageScores(BANDS).add(prediction, truth, valid=valid, tile=torch.zeros(2))
    with pytest.raises(ValueError, match=r"expected rows of .* numbers, found"):
        scores.merge(ImageScores(BANDS).state())
