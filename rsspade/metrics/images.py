"""Scores of image tiles against the truth, on any device, one number per tile.

Shape letters: B tiles, C bands, H W pixels. Images are (B, C, H, W); `valid` is (B, H, W), True where a pixel
counts, and what lies elsewhere may be anything, NaN included. A pixel whose *truth* is not finite never counts. A
*prediction* that is not finite where it counts makes its tile's scores NaN: left out, it would be rewarded.

Own code, because no library serves: torchmetrics and scikit-image know no mask, and torchmetrics' spectral angle is
NaN as soon as one pixel is all zero. Sums run in double precision, and windows are added up slice by slice rather
than convolved: a convolution may be rounded to TF32 or bfloat16 behind our back, which the variances of SSIM do not
survive, and a slice gives the same bits in a batch of any size. On a CPU tiles are taken one by one, since its caches
do not hold a batch: that halves the time.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "DISPLAY", "REFLECTANCE", "SPACES", "ScoreSpace", "check_shapes", "ergas", "in_pieces", "mae", "masked_sum", "psnr", "rmse",
    "sam", "scorable", "spectral_angle", "ssim", "ssim_sums", "whole_windows",
]  # fmt: skip

LOWEST_MSE = 1e-10
"""Keeps PSNR finite: no tile scores above 100 dB."""

WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # K1 and K2 of Wang et al. 2004, for images with peak 1


@dataclass(frozen=True, slots=True)
class ScoreSpace:
    """What is done to reflectance before it is scored: clipped to [0, highest] and divided by it, so the peak is 1."""

    name: str
    highest: float

    def apply(self, reflectance: Tensor) -> Tensor:
        """Reflectance -> values in [0, 1]; NaN stays NaN."""
        return reflectance.clamp(0, self.highest) / self.highest

    def clips(self, reflectance: Tensor) -> Tensor:
        """Where clipping changes a pixel in any band: (B, C, H, W) -> (B, H, W)."""
        return ((reflectance < 0) | (reflectance > self.highest)).any(dim=1)


DISPLAY = ScoreSpace("display", 0.4)
"""The default: the range in which land without snow lies, as pictures show it."""

REFLECTANCE = ScoreSpace("reflectance", 1.0)
SPACES = (DISPLAY, REFLECTANCE)


def check_shapes(prediction: Tensor, truth: Tensor, valid: Tensor) -> None:
    """Refuse what would broadcast into a wrong score instead of failing."""
    if truth.ndim != 4 or prediction.shape != truth.shape:
        raise ValueError(f"expected two images (B, C, H, W), found {tuple(prediction.shape)} and {tuple(truth.shape)}")
    if valid.dtype != torch.bool or valid.shape != truth[:, 0].shape:
        raise ValueError(f"expected a bool mask {tuple(truth[:, 0].shape)}, found {valid.dtype} {tuple(valid.shape)}")


def scorable(prediction: Tensor, truth: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, truth and mask ready for arithmetic.

    Returns:
        Both images in double precision (single where the device has no double), 0 where a pixel does not count, the
        prediction NaN where it counts but is not finite; and the mask of the pixels that count.
    """
    check_shapes(prediction, truth, valid)
    usable = valid & torch.isfinite(truth).all(dim=1)
    dtype = torch.float32 if truth.device.type == "mps" else torch.float64
    clean = torch.where(usable[:, None], prediction, 0.0).to(dtype)
    clean = torch.where(torch.isfinite(clean), clean, math.nan)  # an infinity would pass as a clipped value
    return clean, torch.where(usable[:, None], truth, 0.0).to(dtype), usable


def masked_sum(values: Tensor, valid: Tensor) -> Tensor:
    """Sum over the valid pixels: (B, C, H, W) -> (B, C), or (B, H, W) -> (B,)."""
    mask = valid if values.ndim == valid.ndim else valid[:, None]
    return torch.where(mask, values, 0.0).sum(dim=(-2, -1))


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid pixels, and over the bands where there are any; NaN for a tile without a valid pixel."""
    mean = masked_sum(values, valid) / valid.sum(dim=(-2, -1)).reshape(-1, *[1] * (values.ndim - 3))
    return mean.mean(dim=1) if mean.ndim == 2 else mean


def in_pieces(*batches: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The batches tile by tile where they lie on a CPU, else as they are."""
    size = 1 if batches[0].device.type == "cpu" else max(len(batches[0]), 1)
    return zip(*(torch.split(batch, size) for batch in batches), strict=True)


_Score = Callable[[Tensor, Tensor, Tensor], Tensor]


def _of_pieces(score: _Score) -> _Score:
    """The score (B,) of a batch out of those of its pieces."""

    @functools.wraps(score)
    def whole(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        check_shapes(prediction, truth, valid)
        return torch.cat([score(*piece) for piece in in_pieces(prediction, truth, valid)])

    return whole


@_of_pieces
def psnr(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over all bands and valid pixels of each tile, for images with peak 1: (B,)."""
    prediction, truth, valid = scorable(prediction, truth, valid)
    return -10 * torch.log10(_mean((prediction - truth) ** 2, valid).clamp(min=LOWEST_MSE))


@_of_pieces
def mae(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error over all bands and valid pixels of each tile: (B,)."""
    prediction, truth, valid = scorable(prediction, truth, valid)
    return _mean((prediction - truth).abs(), valid)


@_of_pieces
def rmse(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Root mean squared error over all bands and valid pixels of each tile: (B,)."""
    prediction, truth, valid = scorable(prediction, truth, valid)
    return _mean((prediction - truth) ** 2, valid).sqrt()


@_of_pieces
def ergas(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Relative global error of each tile (Wald 2000), ratio of the pixel sizes 1: (B,).

    Each band's mean squared error is divided by the square of the band's true mean; not finite where that is 0.
    """
    prediction, truth, valid = scorable(prediction, truth, valid)
    pixels = valid.sum(dim=(-2, -1))[:, None]
    mean_squared = masked_sum((prediction - truth) ** 2, valid) / pixels
    return 100 * (mean_squared / (masked_sum(truth, valid) / pixels) ** 2).mean(dim=1).sqrt()


@_of_pieces
def sam(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Spectral angle in radians, mean over the valid pixels of each tile: (B,)."""
    prediction, truth, valid = scorable(prediction, truth, valid)
    return _mean(spectral_angle(prediction, truth), valid)


def spectral_angle(prediction: Tensor, truth: Tensor) -> Tensor:
    """Angle in radians between the spectra of each pixel: (B, C, H, W) twice -> (B, H, W), in their own precision.

    0 where both spectra are zero, π/2 where one is, NaN where one is not finite. By Kahan's formula, 2·atan2(‖u − v‖, ‖u + v‖) of the unit
    vectors: the usual arc cosine of their product cannot tell angles below 5e-4 from 0 in single precision.
    """
    first, first_is_zero, first_is_finite = _unit(prediction)
    second, second_is_zero, second_is_finite = _unit(truth)
    any_zero, finite = first_is_zero | second_is_zero, first_is_finite & second_is_finite
    # The arguments are replaced where the answer is known, not the answer alone: atan2(0, 0) has no gradient.
    apart = torch.where(any_zero, 0.0, _length(first - second)[:, 0])
    along = torch.where(any_zero, 1.0, _length(first + second)[:, 0])
    angle = 2 * torch.atan2(apart, along)
    angle = torch.where(any_zero, torch.where(first_is_zero & second_is_zero, 0.0, math.pi / 2), angle)
    return torch.where(finite, angle, math.nan)


def _unit(spectra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Spectra of length 1; where there is none because all bands are 0; where all bands are finite."""
    largest = spectra.detach().abs().amax(dim=1, keepdim=True)
    is_zero = largest == 0
    scaled = spectra / torch.where(is_zero, 1.0, largest)  # or the square of a dark spectrum might underflow
    length = _length(scaled)
    return scaled / torch.where(is_zero, 1.0, length), is_zero[:, 0], torch.isfinite(largest[:, 0])


def _length(spectra: Tensor) -> Tensor:
    """Euclidean norm over the bands, (B, 1, H, W): torch's own, along this axis, takes twenty times as long."""
    squared = (spectra * spectra).sum(dim=1, keepdim=True)
    is_zero = squared == 0  # where the root has no gradient
    return torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, squared).sqrt())


@_of_pieces
def ssim(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Structural similarity of each tile, mean over bands, for images with peak 1: (B,).

    Only windows whose support is wholly valid count, those that the border cuts excluded, as in scikit-image. NaN
    for a tile without such a window.
    """
    prediction, truth, valid = scorable(prediction, truth, valid)
    whole = whole_windows(valid)
    return (ssim_sums(prediction, truth, whole) / whole.sum(dim=(-2, -1))[:, None]).mean(dim=1)


def whole_windows(valid: Tensor) -> Tensor:
    """Which windows of SSIM hold nothing but valid pixels: (B, H, W) -> (B, H − 10, W − 10), empty for smaller images."""
    batch, height, width = valid.shape
    if min(height, width) < WINDOW:
        return valid.new_zeros(batch, 0, 0)
    outside = (~valid).float()
    for window in ((1, WINDOW), (WINDOW, 1)):
        outside = torch.nn.functional.max_pool2d(outside, window, stride=1)
    return outside == 0


def ssim_sums(prediction: Tensor, truth: Tensor, whole: Tensor) -> Tensor:
    """Sum of SSIM over the windows that are `whole`: (B, C); of images from `scorable`."""
    if not whole.shape[-1]:
        return truth.new_zeros(truth.shape[:2])
    return masked_sum(_ssim_map(prediction, truth), whole)


def _ssim_map(prediction: Tensor, truth: Tensor) -> Tensor:
    """SSIM of every window within the image: (B, C, H, W) twice -> (B, C, H − 10, W − 10)."""
    mean_p, mean_t = _blur(prediction), _blur(truth)
    squares, product = mean_p**2 + mean_t**2, mean_p * mean_t
    variances = _blur(prediction**2 + truth**2) - squares
    covariance = _blur(prediction * truth) - product
    return (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))


def _blur(images: Tensor) -> Tensor:
    """Gaussian mean over each window within the image, rows and columns one after the other."""
    weights = [math.exp(-((n - WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for n in range(WINDOW)]
    for dim in (-2, -1):
        size = images.shape[dim] - WINDOW + 1
        blurred = torch.zeros_like(images.narrow(dim, 0, size))
        for start, weight in enumerate(weights):
            blurred.add_(images.narrow(dim, start, size), alpha=weight / sum(weights))
        images = blurred
    return images
