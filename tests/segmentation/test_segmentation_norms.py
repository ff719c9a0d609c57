"""The statistics of norms that a network is judged and kept with."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rsspade.models.sync_norm import SyncBatchNorm
from segmentation.norms import choose_tiles, measure_norms


class Inner(nn.Module):
    """Norm, convolution, norm."""

    def __init__(self):
        super().__init__()
        self.first, self.conv, self.second = (
            SyncBatchNorm(2, affine=True),
            nn.Conv2d(2, 3, 1),
            SyncBatchNorm(3, affine=True),
        )

    def forward(self, inputs):
        return self.second(self.conv(self.first(inputs["s2"])))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Inner().eval()


def test_norms_get_the_mean_and_the_variance_of_all_pixels_together(network):
    batches = [{"s2": torch.randn(4, 2, 16, 16) * scale + shift} for scale, shift in ((1, 0), (2, 5), (0.5, -3))]
    measure_norms(network, batches)
    pixels = torch.cat([batch["s2"] for batch in batches]).movedim(1, 0).flatten(1)
    torch.testing.assert_close(network.first.running_mean, pixels.mean(dim=1))
    torch.testing.assert_close(network.first.running_var, pixels.var(dim=1, correction=0), rtol=2e-3, atol=0)


def test_a_small_spread_about_a_large_mean_is_not_lost(network):
    batches = [{"s2": 3000 + 0.01 * torch.randn(4, 2, 16, 16)} for _ in range(3)]
    measure_norms(network, batches)
    assert network.first.running_var == pytest.approx(torch.full((2,), 1e-4), rel=0.2)


def test_only_the_statistics_change_and_the_network_stays_ready_for_use(network):
    parameters = {name: value.clone() for name, value in network.named_parameters()}
    measure_norms(network, [{"s2": torch.randn(2, 2, 8, 8)}])
    assert all(torch.equal(value, parameters[name]) for name, value in network.named_parameters())
    assert not any(module.training for module in network.modules())
    assert network.first.momentum == 0.1
    before = network.second.running_var.clone()
    network({"s2": torch.randn(2, 2, 8, 8)})
    assert torch.equal(network.second.running_var, before)


def test_a_network_without_norms_is_left_alone():
    unread = iter([{"s2": torch.zeros(1, 1, 2, 2)}])
    measure_norms(nn.Conv2d(1, 1, 1), unread)
    assert next(unread)  # not one batch was asked for


@given(st.integers(1, 90), st.integers(1, 300), st.integers(1, 9), st.integers(1, 4))
def test_the_processes_share_what_one_would_take(num, wanted, size, processes):
    tiles = np.arange(num) * 3
    shares = [choose_tiles(tiles, wanted, batch_size=size, rank=rank, processes=processes) for rank in range(processes)]
    assert len({share.shape for share in shares}) == 1
    assert shares[0].size > 0
    together = np.concatenate(shares, axis=1)
    assert set(together.flat) <= set(tiles)
    alone = choose_tiles(tiles, wanted, batch_size=size * processes)
    if num >= size * processes <= wanted:
        assert np.array_equal(together, alone)
        assert len(set(alone.flat)) == alone.size


def test_a_single_tile_is_taken_twice_rather_than_alone():
    assert choose_tiles(np.array([7]), 256, batch_size=4).tolist() == [[7, 7]]
    assert choose_tiles(np.array([7]), 256, batch_size=1).tolist() == [[7]]
