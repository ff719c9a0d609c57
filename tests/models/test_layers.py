import pytest
import torch
from torch.nn import functional

from rsspade.models.edges import EdgeConv2d, set_edges
from rsspade.models.modulation import SpatialModulation
from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from rsspade.models.upsampling import UpConvolution


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8)])
def test_an_up_convolution_is_nearest_doubling_and_a_convolution(size):
    torch.manual_seed(0)
    up = UpConvolution(5, 3).double()
    x = torch.randn(2, 5, *size, dtype=torch.double)
    expected = functional.conv2d(
        functional.interpolate(x, scale_factor=2, mode="nearest"), up.conv.weight, up.conv.bias, padding=1
    )
    assert torch.allclose(up(x), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 16), (17, 40)])
def test_edges_are_repeated_once_a_network_is_trained(size):
    torch.manual_seed(0)
    up, same, half = UpConvolution(5, 3).double(), EdgeConv2d(5, 3, 3, padding=1), EdgeConv2d(5, 3, 4, 2, padding=1)
    x = torch.randn(2, 5, *(2 * length for length in size), dtype=torch.double)
    doubled = functional.interpolate(x, scale_factor=2, mode="nearest")
    for layer, weights, image in ((up, up.conv, doubled), (same, same, x), (half, half, x)):
        layer.double().train()
        before = layer(x)
        set_edges(layer, "repeat")
        assert torch.equal(layer(x), before)
        around = functional.pad(image, [1] * 4, mode="replicate")
        expected = functional.conv2d(around, weights.weight, weights.bias, weights.stride)
        assert torch.allclose(layer.eval()(x), expected, atol=1e-12)
        set_edges(layer, "zeros")
        assert torch.allclose(layer(x), before, atol=1e-12)


def test_coarse_maps_keep_their_zeros():
    layers = (UpConvolution(5, 3).double(), EdgeConv2d(5, 3, 3, padding=1).double())
    for layer, size in zip(layers, ((15, 40), (31, 80)), strict=True):
        x = torch.randn(1, 5, *size, dtype=torch.double)
        before = layer.train()(x)
        set_edges(layer, "repeat")
        assert torch.equal(layer.eval()(x), before)


def test_an_up_convolution_draws_no_checkerboard():
    torch.manual_seed(0)
    inside = UpConvolution(4, 6)(torch.ones(1, 4, 8, 8))[..., 2:-2, 2:-2]
    assert torch.allclose(inside, inside[..., :1, :1].expand_as(inside), atol=1e-6)


def test_an_up_convolution_stores_nothing_but_its_weights():
    assert set(UpConvolution(2, 3).state_dict()) == {"conv.weight", "conv.bias"}


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (2, 3), (130, 1000), (1, 70), (70, 1), (1, 1)])
@pytest.mark.parametrize("multiple", [1, 8, 256])
def test_padding_reaches_the_multiple_and_comes_off_again(size, multiple):
    x = torch.randn(1, 2, *size)
    padding = Padding.to_multiple(size, multiple)
    padded = padding.apply(x)
    assert padded.shape[-2] % multiple == 0
    assert padded.shape[-1] % multiple == 0
    assert padded.shape[-2] - size[0] < multiple
    assert torch.equal(padding.crop(padded), x)
    assert set(padded.flatten().tolist()) == set(x.flatten().tolist())


def test_padding_is_a_reflection():
    row = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    assert Padding(0, 0, 2, 1).apply(row)[0, 0, 0].tolist() == [3, 2, 1, 2, 3, 2]
    assert Padding(0, 0, 0, 5).apply(row)[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]


def test_a_size_that_fits_is_left_alone():
    x = torch.randn(1, 1, 64, 128)
    padding = Padding.to_multiple((64, 128), 32)
    assert not padding.is_needed
    assert padding.apply(x) is x
    assert padding.crop(x) is x


def test_a_single_row_is_repeated_and_its_columns_are_reflected():
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert Padding(1, 2, 1, 0).apply(row)[0, 0].tolist() == [[2, 1, 2, 3]] * 4


@pytest.mark.parametrize("affine", [True, False])
def test_in_one_process_the_norm_is_that_of_torch(affine):
    torch.manual_seed(0)
    ours, theirs = SyncBatchNorm(3, affine=affine), torch.nn.BatchNorm2d(3, affine=affine)
    for _ in range(3):
        x = torch.randn(4, 3, 5, 6) * 3 + 2
        assert torch.allclose(ours(x), theirs(x))
    assert torch.allclose(ours.running_var, theirs.running_var)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x))


def test_modulation_by_hand():
    """Scale and shift are per pixel, and come from the condition alone."""
    layer = SpatialModulation(1, 1)
    with torch.no_grad():
        layer.scale_and_shift.weight.zero_()
        layer.scale_and_shift.weight[0, 0, 1, 1] = 2.0  # scale = 1 + 2 · cond
        layer.scale_and_shift.weight[1, 0, 1, 1] = -1.0  # shift = −cond
    x = torch.tensor([[[[-1.0, 1.0], [1.0, -1.0]]]])  # mean 0, variance 1
    cond = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    expected = torch.tensor([[[[-1.0, 3 - 1.0], [5 - 2.0, -7 - 3.0]]]])
    assert torch.allclose(layer(x, cond), expected, atol=1e-4)


def test_modulation_starts_as_the_plain_norm():
    torch.manual_seed(0)
    layer = SpatialModulation(8, 4)
    x, cond = torch.randn(2, 8, 16, 16), torch.randn(2, 4, 16, 16)
    assert torch.allclose(layer(x, cond), functional.batch_norm(x, None, None, training=True), atol=1e-5)
    layer(x, cond).pow(3).sum().backward()
    assert (layer.scale_and_shift.weight.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
