"""The scores of several draws."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from rsspade.metrics import PADDING, SampleScores, pairwise_distance, rank_correlation


def calibrated(seed: int, *, draws: int, size: int = 64, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draws and truth from one distribution per pixel, whose width differs from pixel to pixel.

    `factor` makes the draws wider than the truth's distribution.
    """
    rng = torch.Generator().manual_seed(seed)
    centre = 0.15 + 0.1 * torch.rand(1, 2, 4, size, size, generator=rng)
    width = 0.002 + 0.02 * torch.rand(1, 2, 1, size, size, generator=rng)
    noise = torch.randn(draws + 1, 2, 4, size, size, generator=rng)
    return centre + factor * width * noise[1:], (centre + width * noise[:1])[0]


def everywhere(truth: Tensor) -> Tensor:
    return torch.ones_like(truth[:, 0], dtype=torch.bool)


def compute(samples: Tensor, truth: Tensor, valid: Tensor) -> dict:
    scores = SampleScores()
    scores.add(samples, truth, valid=valid, tile=torch.arange(len(truth)))
    found = scores.compute()
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize("draws", [2, 3, 10])
def test_draws_as_wide_as_their_error_have_a_ratio_of_one(draws):
    samples, truth = calibrated(0, draws=draws)
    found = compute(samples, truth, everywhere(truth))
    assert found["spread_rmse_ratio"] == pytest.approx(1.0, abs=0.03)
    assert found["spread_rmse_ratio"] == pytest.approx(found["spread"] / found["rmse_of_mean"])
    assert compute(samples[[0] * draws], truth, everywhere(truth))["spread_rmse_ratio"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("samples", [2, 8, 16])
def test_balanced_draws_as_wide_as_their_error_have_a_ratio_of_one(samples):
    generator = torch.Generator().manual_seed(3)
    error = 0.02 * torch.randn(1, 4, 64, 64, generator=generator)
    drawn = 0.02 * torch.randn(samples // 2, 1, 4, 64, 64, generator=generator)
    image = torch.full_like(error, 0.2)
    scores = SampleScores(balanced=True)
    where = {"valid": everywhere(image), "tile": torch.tensor([0])}
    scores.add(image + torch.cat([drawn, -drawn]), image + error, **where)
    assert scores.compute()["spread_rmse_ratio"] == pytest.approx(1.0, abs=0.03)


def test_draws_that_are_too_sure_or_too_wide_show_it():
    for factor in (0.5, 2.0):
        samples, truth = calibrated(1, draws=20, factor=factor)
        ratio = compute(samples, truth, everywhere(truth))["spread_rmse_ratio"]
        # The mean of the draws carries a share of their own width.
        expected = factor * math.sqrt((1 + 1 / 20) / (1 + factor**2 / 20))
        assert ratio == pytest.approx(expected, rel=0.03)


def test_spread_that_knows_where_the_error_is_ranks_with_it():
    samples, truth = calibrated(2, draws=10)
    knows = compute(samples, truth, everywhere(truth))["rank_correlation"]
    elsewhere = truth.mean() + 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(9))
    ignorant = compute(samples - samples.mean(dim=0) + 0.2, elsewhere, everywhere(truth))["rank_correlation"]
    assert knows > 0.5
    assert abs(ignorant) < 0.05


@pytest.mark.parametrize(("order", "expected"), [([0, 1, 2], 1.0), ([2, 1, 0], -1.0), ([0, 2, 1], 0.5)])
def test_tiles_are_ranked_by_their_own_spread_and_error(order, expected):
    rng = torch.Generator().manual_seed(3)
    width = torch.tensor([0.001, 0.01, 0.02])[:, None, None, None]
    samples = 0.2 + width * torch.randn(6, 3, 4, 8, 8, generator=rng)
    truth = samples.mean(dim=0) + width[order]
    assert compute(samples, truth, everywhere(truth))["tile_rank_correlation"] == pytest.approx(expected)
    assert compute(samples[:, :1], truth[:1], everywhere(truth[:1]))["tile_rank_correlation"] is None


def test_values_worked_out_by_hand():
    # One band, two pixels, in a space where 0.4 is 1: draws 0 and 0.2, then 0.1 and 0.3, against the truth 0.
    samples = torch.tensor([[0.0, 0.04], [0.08, 0.04], [0.16, 0.4]], dtype=torch.float64).reshape(3, 1, 1, 1, 2)
    truth = torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    first, second = (0.0, 0.2, 0.4), (0.1, 0.1, 1.0)  # as displayed
    pairs = [
        math.sqrt(((first[i] - first[j]) ** 2 + (second[i] - second[j]) ** 2) / 2) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    found = compute(samples, truth, everywhere(truth))
    assert found["pairwise_distance"] == pytest.approx(sum(pairs) / 3)
    assert found["spread"] == pytest.approx(math.sqrt((0.04 + 0.27) / 2 * 4 / 3))
    assert found["rmse_of_mean"] == pytest.approx(math.sqrt((0.2**2 + 0.4**2) / 2))
    assert found["rank_correlation"] == pytest.approx(1.0)
    raw = pairwise_distance(samples, everywhere(truth)).item()
    assert raw == pytest.approx(0.4 * sum(pairs) / 3)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), levels=st.integers(2, 50))
def test_rank_correlation_is_scipys_also_with_ties(seed, levels):
    rng = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(levels, (1, 8, 8), generator=rng).double() for _ in range(2))
    valid = torch.rand(1, 8, 8, generator=rng) > 0.3
    expected = float(spearmanr(first[valid].numpy(), second[valid].numpy()).statistic)
    assert rank_correlation(first, second, valid).item() == pytest.approx(expected, abs=1e-12)


def test_undefined_correlations_are_left_out():
    ramp, flat = torch.arange(9.0).reshape(1, 3, 3), torch.ones(1, 3, 3)
    one = torch.zeros(1, 3, 3, dtype=torch.bool)
    one[0, 1, 1] = True
    assert rank_correlation(ramp, flat, ~one).isnan().all()
    assert rank_correlation(ramp, ramp, one).isnan().all()
    samples, truth = calibrated(3, draws=3)
    some = compute(samples, truth, everywhere(truth))
    samples[:, 1] = 0.1  # the draws of the second tile do not differ
    assert compute(samples, truth, everywhere(truth))["rank_correlation"] != some["rank_correlation"]
    assert compute(samples[:, :1], truth[:1], everywhere(truth[:1]))["rank_correlation"] == pytest.approx(
        compute(samples, truth, everywhere(truth))["rank_correlation"]
    )
    assert compute(samples[:, 1:], truth[1:], everywhere(truth[1:]))["rank_correlation"] is None


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), filler=st.sampled_from([0.0, 1e30, math.nan, math.inf]))
def test_masked_pixels_can_be_anything(seed, filler):
    samples, truth = calibrated(seed, draws=3, size=8)
    valid = torch.rand(truth[:, 0].shape, generator=torch.Generator().manual_seed(seed)) > 0.3
    expected = compute(samples, truth, valid)
    spoilt = [torch.where(valid[:, None], image, filler) for image in (samples, truth)]
    assert compute(*spoilt, valid) == expected
    torch.testing.assert_close(pairwise_distance(spoilt[0], valid), pairwise_distance(samples, valid), rtol=0, atol=0)


def test_processes_and_batches_do_not_matter():
    samples, truth = calibrated(4, draws=3, size=16)
    expected = compute(samples, truth, everywhere(truth))
    merged = SampleScores()
    for n in (1, 0, 1):  # one tile twice, as samplers do
        part = SampleScores()
        part.add(samples[:, n : n + 1], truth[n : n + 1], valid=everywhere(truth)[:1], tile=torch.tensor([n]))
        merged.merge(torch.nn.functional.pad(part.state(), (0, 0, 0, 1), value=PADDING))
    assert merged.compute() == pytest.approx(expected, abs=1e-9)


def test_a_draw_that_is_not_finite_is_not_overlooked():
    samples, truth = calibrated(5, draws=3, size=8)
    samples[1, 0, 2, 3, 3] = math.nan
    found = compute(samples, truth, everywhere(truth))
    assert found.pop("not_finite_pixels") == 1
    assert found.pop("tiles") == 2
    assert set(found.values()) == {None}


def test_scores_of_nothing_and_of_certainty_are_undefined():
    empty = SampleScores().compute()
    assert (empty["tiles"], empty["pairwise_distance"], empty["spread_rmse_ratio"]) == (0, None, None)
    truth = torch.full((1, 4, 8, 8), 0.2)
    sure = compute(truth.expand(3, -1, -1, -1, -1), truth, everywhere(truth))
    assert (sure["pairwise_distance"], sure["spread"], sure["rmse_of_mean"], sure["spread_rmse_ratio"]) == (
        0,
        0,
        0,
        None,
    )


def test_one_draw_is_refused():
    samples, truth = calibrated(6, draws=1, size=8)
    with pytest.raises(ValueError, match=r"expected two or more draws \(S, B, C, H, W\), found \(1, 2, 4, 8, 8\)"):
        compute(samples, truth, everywhere(truth))
