"""What scores draws: lowest for the truth's own distribution, blind to what is not known."""

import pytest
import torch

from rsspade.losses import energy_score, spread_likelihood


def field(grain, size, *, seed, batch=64):
    """Noise whose cells have `grain` pixels, deviation 1: (batch, 2, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, size // grain, size // grain, generator=generator).repeat_interleave(grain, -1).repeat_interleave(grain, -2)  # fmt: skip


def score(spread, grain, *, colours=(1.0, 1.0)):
    """Of draws with a spread and a grain, where the truth has a spread of 1 and a grain of 4."""
    draws = (
        torch.stack([spread * field(grain, 16, seed=n) for n in (1, 2)], dim=1) * torch.tensor(colours)[:, None, None]
    )
    return energy_score(draws, field(4, 16, seed=0), torch.ones(64, 16, 16, dtype=torch.bool)).item()


@pytest.mark.parametrize("wrong", [{"spread": 0.0}, {"spread": 0.4}, {"spread": 2.0}, {"grain": 1}, {"grain": 16}])
def test_the_energy_score_is_lowest_for_the_right_spread_and_the_right_grain(wrong):
    right = {"spread": 1.0, "grain": 4}
    assert score(**right) < score(**right | wrong) - 0.01


def test_draws_on_the_truth_cost_nothing():
    truth = field(2, 16, seed=3)
    exact = energy_score(torch.stack([truth, truth], dim=1), truth, torch.ones(64, 16, 16, dtype=torch.bool))
    assert exact.item() == pytest.approx(0, abs=1e-3)


def test_two_draws_at_least():
    with pytest.raises(ValueError, match="expected two or more draws"):
        energy_score(torch.zeros(1, 1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))


def test_a_spread_is_likeliest_at_the_mean_square_of_the_deviations():
    missing, valid = 0.5 * field(1, 16, seed=4), torch.ones(64, 16, 16, dtype=torch.bool)
    found = {
        v: spread_likelihood(torch.full_like(missing, v), missing, valid).item() for v in (0.1, 0.2, 0.25, 0.3, 0.6)
    }
    assert min(found, key=found.__getitem__) == 0.25


@pytest.mark.parametrize("filling", [float("nan"), float("inf"), 1e30])
def test_what_is_not_valid_reaches_neither_score_nor_gradient(filling):
    truth, valid = field(1, 16, seed=5), torch.rand(64, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.7
    found = []
    for filled in (0.0, filling):
        spoilt = torch.where(valid[:, None], truth, filled)
        draws = torch.stack([field(2, 16, seed=n) for n in (6, 7)], dim=1).requires_grad_()
        variance = field(1, 16, seed=8).square().requires_grad_()
        total = energy_score(draws, spoilt, valid) + spread_likelihood(variance, spoilt, valid)
        total.backward()
        assert not draws.grad[~valid[:, None, None].expand_as(draws)].any()
        assert not variance.grad[~valid[:, None].expand_as(variance)].any()
        found.append((total.detach(), draws.grad, variance.grad))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_nothing_valid_gives_0_with_a_gradient_of_0():
    draws, valid = torch.randn(2, 2, 3, 8, 8, requires_grad=True), torch.zeros(2, 8, 8, dtype=torch.bool)
    energy_score(draws, torch.zeros(2, 3, 8, 8), valid).backward()
    assert not draws.grad.any()
