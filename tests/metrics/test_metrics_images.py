"""The scores of single tiles, held against scikit-image, float64 references and values worked out by hand."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from rsspade.data.readers import TerraMeshReader
from rsspade.metrics import DISPLAY, REFLECTANCE, ergas, mae, psnr, rmse, sam, spectral_angle, ssim

SCORES = {"psnr": psnr, "ssim": ssim, "sam": sam, "mae": mae, "rmse": rmse, "ergas": ergas}
BETTER_IS_HIGHER = {"psnr", "ssim"}


def everywhere(image: Tensor) -> Tensor:
    return torch.ones_like(image[:, 0], dtype=torch.bool)


def pair(seed: int, *, size: tuple[int, int] = (24, 31), noise: float = 0.1, tiles: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(tiles, 4, *size, generator=rng)
    return (truth + noise * torch.randn(truth.shape, generator=rng)).clamp(0, 1), truth


def skimage_ssim(prediction: Tensor, truth: Tensor) -> float:
    return float(
        structural_similarity(
            truth.double().numpy(), prediction.double().numpy(), channel_axis=0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, data_range=1,
        )
    )  # fmt: skip


def reference_angle(prediction: Tensor, truth: Tensor) -> Tensor:
    """From sine and cosine by way of Lagrange's identity: another formula than the one under test, in float64."""
    a, b = prediction.double().movedim(1, -1), truth.double().movedim(1, -1)
    i, j = torch.triu_indices(a.shape[-1], a.shape[-1], 1)
    cross = (a[..., i] * b[..., j] - a[..., j] * b[..., i]).square().sum(dim=-1).sqrt()
    return torch.atan2(cross, (a * b).sum(dim=-1))


def real_pair(tile: str, space_name: str) -> tuple[Tensor, Tensor]:
    """A real image, and the same shifted by one pixel and blurred along the rows."""
    space = DISPLAY if space_name == "display" else REFLECTANCE
    truth = torch.from_numpy(TerraMeshReader(Path(os.environ["RSSPADE_REAL_DATA"]) / "terramesh").read("s2", tile))[
        None
    ]
    moved = (truth.roll(1, dims=-1) + truth.roll(2, dims=-1)) / 2
    return space.apply(moved), space.apply(truth)


DEGENERATE = {
    "identical": (torch.full((1, 4, 16, 16), 0.3), torch.full((1, 4, 16, 16), 0.3)),
    "saturated": (torch.ones(1, 4, 16, 16), torch.full((1, 4, 16, 16), 0.999)),
    "both_zero": (torch.zeros(1, 4, 16, 16), torch.zeros(1, 4, 16, 16)),
    "one_zero": (torch.zeros(1, 4, 16, 16), torch.full((1, 4, 16, 16), 0.5)),
    "one_window": (torch.rand(1, 4, 11, 11, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 4, 11, 11)),
    "black_and_white": (torch.eye(20).expand(1, 4, 20, 20), 1 - torch.eye(20).expand(1, 4, 20, 20)),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_tiles_score_as_scikit_image_scores_them(name):
    prediction, truth = DEGENERATE[name]
    valid = everywhere(truth)
    assert ssim(prediction, truth, valid).item() == pytest.approx(skimage_ssim(prediction[0], truth[0]), abs=1e-6)
    if not torch.equal(prediction, truth):  # there scikit-image divides by zero
        expected = peak_signal_noise_ratio(truth.double().numpy(), prediction.double().numpy(), data_range=1)
        assert psnr(prediction, truth, valid).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(11, 11), (24, 31), (64, 12)])
def test_random_tiles_score_as_scikit_image_scores_them(size):
    prediction, truth = pair(3, size=size, tiles=3)
    similar, noise_ratio = ssim(prediction, truth, everywhere(truth)), psnr(prediction, truth, everywhere(truth))
    for n in range(3):
        assert similar[n].item() == pytest.approx(skimage_ssim(prediction[n], truth[n]), abs=1e-6)
        expected = peak_signal_noise_ratio(truth[n].double().numpy(), prediction[n].double().numpy(), data_range=1)
        assert noise_ratio[n].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif("RSSPADE_REAL_DATA" not in os.environ, reason="RSSPADE_REAL_DATA names no folder with terramesh/")
@pytest.mark.parametrize("space", ["display", "reflectance"])
@pytest.mark.parametrize("tile", ["282D_485L_3_3", "433D_629L_3_1", "637U_59R_1_3"])
def test_real_tiles_score_as_the_references_score_them(tile, space):
    prediction, truth = real_pair(tile, space)
    valid = everywhere(truth)
    assert ssim(prediction, truth, valid).item() == pytest.approx(skimage_ssim(prediction[0], truth[0]), abs=1e-6)
    expected = peak_signal_noise_ratio(truth.double().numpy(), prediction.double().numpy(), data_range=1)
    assert psnr(prediction, truth, valid).item() == pytest.approx(expected, abs=1e-5)
    reference = reference_angle(prediction, truth).float()
    assert spectral_angle(prediction, truth).sub(reference).abs().max().item() < 1e-4
    assert sam(prediction, truth, valid).item() == pytest.approx(reference.double().mean().item(), abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-4, 3e-3, 0.1, 1.0, math.pi / 2])
@pytest.mark.parametrize("length", [1.0, 1e-3, 1e-30])
def test_single_precision_resolves_small_angles_of_bright_and_dark_spectra(angle, length):
    truth = torch.tensor([length, 0.0]).reshape(1, 2, 1, 1)
    prediction = torch.tensor([math.cos(angle) * length, math.sin(angle) * length]).reshape(1, 2, 1, 1) * 0.25
    found = spectral_angle(prediction, truth)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(angle, rel=1e-5, abs=1e-7)  # the arc cosine gives 0 or 3.5e-4 for 1e-4


def test_the_angle_of_zero_spectra_is_that_of_the_contract():
    zero, some, minus = torch.zeros(1, 3, 1, 1), torch.full((1, 3, 1, 1), 0.2), torch.full((1, 3, 1, 1), -0.1)
    assert spectral_angle(zero, zero).item() == 0
    assert spectral_angle(zero, some).item() == spectral_angle(some, zero).item() == pytest.approx(math.pi / 2)
    assert spectral_angle(minus, some).item() == pytest.approx(math.pi)
    assert math.isnan(spectral_angle(some * math.nan, zero).item())
    assert math.isnan(spectral_angle(some / 0, some).item())


def test_the_angle_has_a_gradient_everywhere():
    spectra = torch.tensor([[0.0, 0.0], [0.2, 0.3], [0.2, 0.1]]).T.reshape(1, 2, 1, 3).requires_grad_()
    spectral_angle(spectra, torch.tensor([[0.0, 0.0], [0.2, 0.3], [0.1, 0.2]]).T.reshape(1, 2, 1, 3)).sum().backward()
    assert spectra.grad is not None
    assert torch.isfinite(spectra.grad).all()
    assert spectra.grad[..., 2].abs().sum() > 0


def test_scores_worked_out_by_hand():
    # Two pixels, two bands; the third pixel is masked. Errors: 0.1, 0.3 in the first band; 0, 0.2 in the second.
    truth = torch.tensor([[[[0.4, 0.2, 9.0]], [[0.5, 0.3, 9.0]]]], dtype=torch.float64)
    prediction = torch.tensor([[[[0.5, 0.5, 0.0]], [[0.5, 0.1, 0.0]]]], dtype=torch.float64)
    valid = torch.tensor([[[True, True, False]]])
    mean_squared = (0.01 + 0.09 + 0 + 0.04) / 4
    assert mae(prediction, truth, valid).item() == pytest.approx(0.15)
    assert rmse(prediction, truth, valid).item() == pytest.approx(math.sqrt(mean_squared))
    assert psnr(prediction, truth, valid).item() == pytest.approx(10 * math.log10(1 / mean_squared))
    # Band means 0.3 and 0.4, mean squared errors 0.05 and 0.02.
    expected = 100 * math.sqrt((0.05 / 0.3**2 + 0.02 / 0.4**2) / 2)
    assert ergas(prediction, truth, valid).item() == pytest.approx(expected)
    angles = [math.atan2(0.5, 0.4) - math.atan2(0.5, 0.5), math.atan2(0.3, 0.2) - math.atan2(0.1, 0.5)]
    assert sam(prediction, truth, valid).item() == pytest.approx(sum(angles) / 2)


def test_a_perfect_tile_scores_100_db():
    _, truth = pair(0)
    valid = everywhere(truth)
    perfect = {name: score(truth, truth, valid).tolist() for name, score in SCORES.items()}
    assert perfect["psnr"] == [100.0, 100.0]
    assert perfect["ssim"] == pytest.approx([1.0, 1.0], abs=1e-12)
    assert perfect["sam"] == perfect["mae"] == perfect["rmse"] == perfect["ergas"] == [0.0, 0.0]


def test_only_windows_that_are_wholly_valid_count():
    prediction, truth = pair(5, size=(30, 30), tiles=1)
    valid = everywhere(truth)
    valid[:, 15, 17] = False
    # By brute force: each of the 20×20 windows, scored by scikit-image as an image of 11×11.
    corners = [(i, j) for i in range(20) for j in range(20) if not (i <= 15 < i + 11 and j <= 17 < j + 11)]
    windows = [np.s_[:, i : i + 11, j : j + 11] for i, j in corners]
    expected = np.mean([skimage_ssim(prediction[0][w], truth[0][w]) for w in windows])
    assert len(windows) == 20 * 20 - 11 * 11
    assert ssim(prediction, truth, valid).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [(5, 30), (30, 10), (20, 20)])
def test_a_tile_without_a_whole_window_has_no_ssim_but_other_scores(size):
    prediction, truth = pair(5, size=size, tiles=1)
    valid = torch.zeros_like(everywhere(truth))
    valid[0, 2, 3] = True  # one pixel
    assert math.isnan(ssim(prediction, truth, valid).item())
    expected = (prediction - truth)[0, :, 2, 3].double()
    assert mae(prediction, truth, valid).item() == pytest.approx(expected.abs().mean().item())


@pytest.mark.parametrize("name", SCORES)
def test_a_tile_without_a_valid_pixel_is_nan_alone(name):
    prediction, truth = pair(6, tiles=2)
    valid = everywhere(truth)
    valid[1] = False
    found = SCORES[name](prediction, truth, valid)
    assert found.isnan().tolist() == [False, True]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), filler=st.sampled_from([0.0, 1e30, -5.0, math.nan, math.inf, -math.inf]),
       share=st.floats(0, 0.02))  # fmt: skip
def test_masked_pixels_can_be_anything(seed, filler, share):
    prediction, truth = pair(seed, size=(26, 26))
    valid = torch.rand(truth[:, 0].shape, generator=torch.Generator().manual_seed(seed)) >= share
    for spoil_prediction, spoil_truth in ((True, False), (False, True), (True, True)):
        spoilt = [
            torch.where(valid[:, None], image, filler) if spoil else image
            for image, spoil in ((prediction, spoil_prediction), (truth, spoil_truth))
        ]
        for name, score in SCORES.items():
            assert torch.equal(score(*spoilt, valid).nan_to_num(-1), score(prediction, truth, valid).nan_to_num(-1)), (
                name
            )


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), better=st.floats(0.0, 0.1), gap=st.floats(0.03, 0.2))
def test_more_of_the_same_noise_scores_worse(seed, better, gap):
    _, truth = pair(seed, tiles=1)
    truth = 0.1 + 0.8 * truth
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float32)
    for name, score in SCORES.items():
        good, bad = (score(truth + level * noise, truth, everywhere(truth)).item() for level in (better, better + gap))
        assert (good > bad) if name in BETTER_IS_HIGHER else (good < bad), name


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(4)))
def test_a_tile_scores_the_same_at_any_place_of_any_batch(seed, order):
    prediction, truth = pair(seed, tiles=4)
    valid = torch.rand(truth[:, 0].shape, generator=torch.Generator().manual_seed(seed)) > 0.005
    for name, score in SCORES.items():
        whole = score(prediction, truth, valid)
        mixed = score(prediction[order], truth[order], valid[order])
        alone = torch.cat([score(prediction[n : n + 1], truth[n : n + 1], valid[n : n + 1]) for n in range(4)])
        torch.testing.assert_close(mixed, whole[order], rtol=0, atol=1e-9, equal_nan=True, msg=name)
        torch.testing.assert_close(alone, whole, rtol=0, atol=1e-9, equal_nan=True, msg=name)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_is_not_overlooked(name, value):
    prediction, truth = pair(7)
    prediction[0, 1, 12, 12] = value
    assert SCORES[name](prediction, truth, everywhere(truth)).isnan().tolist() == [True, False]


def test_half_precision_and_autocast_change_nothing_but_the_input():
    prediction, truth = pair(8)
    rounded = prediction.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = {name: score(rounded, truth, everywhere(truth)) for name, score in SCORES.items()}
    for name, score in SCORES.items():
        assert torch.equal(found[name], score(rounded.float(), truth, everywhere(truth))), name


def test_score_spaces_clip_and_scale():
    reflectance = torch.tensor([-0.1, 0.0, 0.1, 0.4, 0.7, 1.3, math.nan])
    expected = {DISPLAY: [0, 0, 0.25, 1, 1, 1, math.nan], REFLECTANCE: [0, 0, 0.1, 0.4, 0.7, 1, math.nan]}
    for space, values in expected.items():
        torch.testing.assert_close(space.apply(reflectance), torch.tensor(values), equal_nan=True)
    pixels = torch.tensor([[0.1, 0.5], [0.4, 0.4], [0.0, -0.01]]).T.reshape(1, 2, 1, 3)
    assert DISPLAY.clips(pixels).tolist() == [[[True, False, True]]]


def test_shapes_that_would_broadcast_are_refused():
    prediction, truth = pair(9)
    valid = everywhere(truth)
    with pytest.raises(ValueError, match=r"expected two images \(B, C, H, W\), found \(2, 1, 24, 31\)"):
        psnr(prediction[:, :1], truth, valid)
    with pytest.raises(ValueError, match=r"expected a bool mask \(2, 24, 31\), found torch.bool \(1, 24, 31\)"):
        psnr(prediction, truth, valid[:1])
    with pytest.raises(ValueError, match=r"found torch\.float32"):
        psnr(prediction, truth, valid.float())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_scores():
    prediction, truth = pair(10, size=(64, 64))
    valid = torch.rand(truth[:, 0].shape, generator=torch.Generator().manual_seed(0)) > 0.002
    for name, score in SCORES.items():
        on_gpu = score(prediction.cuda(), truth.cuda(), valid.cuda()).cpu()
        torch.testing.assert_close(on_gpu, score(prediction, truth, valid), rtol=1e-9, atol=1e-9, msg=name)
