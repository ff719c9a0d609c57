"""Losses as functions of tensors and a validity mask.

Shape letters: B batch, C bands, F features, H W pixels; h w the smaller maps of a discriminator.

`valid` is (B, H, W), True where a pixel counts. What lies elsewhere in the *truth* may be anything, NaN included:
it reaches neither a loss nor a gradient. Every mean is over the valid pixels of the batch that is handed in; a batch
without one gives 0 with a gradient of 0. Training hands in the micro-batches of each process, which then count alike: where
one has fewer valid pixels than another, each of them counts for more than it would in the batch as a whole.

Images of `l1` are in network channels or reflectance as the caller likes; `ssim_loss` wants its peak named, and a
spectral angle has a meaning in reflectance alone, since it depends on where 0 is.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "ADVERSARIAL",
    "adversarial_discriminator_loss",
    "adversarial_generator_loss",
    "energy_score",
    "feature_matching_loss",
    "l1_loss",
    "r1_penalty",
    "spectral_angle_loss",
    "spread_likelihood",
    "ssim_loss",
]

ADVERSARIAL = ("hinge", "lsgan")

_WINDOW, _SIGMA = 11, 1.5
_EXTRA_BAND, _ROUNDING = 5e-3, 1e-3


def _masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (B, …) with weights that broadcast against it; 0 where all weights are 0."""
    weight = weight.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=torch.finfo(torch.float32).tiny)


def _clean(prediction: Tensor, truth: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Both images in float32, and 0 where a pixel does not count: replaced, since NaN × 0 is NaN."""
    if prediction.shape != truth.shape or valid.shape != truth[:, 0].shape or valid.dtype != torch.bool:
        raise ValueError(
            f"expected two images (B, C, H, W) and a bool mask (B, H, W), found {tuple(prediction.shape)}, "
            f"{tuple(truth.shape)} and {valid.dtype} {tuple(valid.shape)}"
        )
    mask = valid[:, None]
    return torch.where(mask, prediction.float(), 0.0), torch.where(mask, truth.float(), 0.0)


def l1_loss(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference over valid pixels and bands."""
    prediction, truth = _clean(prediction, truth, valid)
    return _masked_mean((prediction - truth).abs(), valid[:, None])


def ssim_loss(prediction: Tensor, truth: Tensor, valid: Tensor, *, peak: float = 1.0) -> Tensor:
    """1 − SSIM over the windows that are wholly valid: 0 for equal images, about 1 for unrelated ones.

    The Gaussian window of 11 px that `rsspade.metrics` scores with; unlike there nothing is clipped, so that a
    value out of range keeps its gradient.

    Args:
        prediction: (B, C, H, W), at least 11 px high and wide.
        truth: (B, C, H, W).
        valid: (B, H, W).
        peak: The value of a white pixel.
    """
    prediction, truth = _clean(prediction, truth, valid)
    prediction, truth = prediction / peak, truth / peak
    if min(truth.shape[-2:]) < _WINDOW:
        raise ValueError(f"expected images of at least {_WINDOW} px, found {tuple(truth.shape[-2:])}")
    with _full_precision(prediction.device.type):
        mean_t = _blur(truth)
        mean_p, squares, product = _blur(torch.cat([prediction, prediction**2 + truth**2, prediction * truth])).chunk(3)
    c1, c2 = 0.01**2, 0.03**2
    means = mean_p * mean_t
    mean_squares = mean_p**2 + mean_t**2
    similarity = (2 * means + c1) * (2 * (product - means) + c2)
    similarity = similarity / ((mean_squares + c1) * (squares - mean_squares + c2))
    whole = functional.max_pool2d((~valid).float(), _WINDOW, stride=1) == 0  # (B, H − 10, W − 10)
    return _masked_mean(1 - similarity, whole[:, None])


@contextmanager
def _full_precision(device: str) -> Iterator[None]:
    """No bfloat16 and no TF32: the variances of SSIM are small differences of large numbers."""
    wanted = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(wanted)


def _blur(images: Tensor) -> Tensor:
    """Gaussian mean over each window within the image: (B, C, H, W) -> (B, C, H − 10, W − 10).

    By products with band matrices: of 11 numbers in a row of 128 most are zero, and it is still ten times as fast on
    a CPU as a convolution of single channels.
    """
    return _windows(images.shape[-2], images) @ images @ _windows(images.shape[-1], images).T


def _windows(length: int, like: Tensor) -> Tensor:
    """The window at each of its places along an axis: (length − 10, length)."""
    place = torch.arange(length - _WINDOW + 1, device=like.device)[:, None]
    offset = torch.arange(length, device=like.device) - place - _WINDOW // 2
    weights = torch.exp(-(offset**2) / (2 * _SIGMA**2)) * (offset.abs() <= _WINDOW // 2)
    return (weights / weights.sum(dim=1, keepdim=True)).to(like.dtype)


def spectral_angle_loss(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean angle in radians between the spectra of valid pixels, of images in reflectance.

    Equal to the angle but for its two kinks, which would throw single pixels about. Both spectra get one more band
    of 0.005, which changes nothing on land but gives black pixels a direction, equal to each other's and with a
    finite slope; and near 0 the root is rounded off, so that the gradient is 0 at equal spectra, where that of the
    angle jumps.
    """
    prediction, truth = _clean(prediction, truth, valid)
    first, second = _inverse_length(prediction), _inverse_length(truth)  # (B, 1, H, W)
    u, v = prediction * first, truth * second
    # 2·atan2(|u − v|, |u + v|): an arc cosine has no digits left where the angle is small.
    apart = ((u - v) ** 2).sum(dim=1) + (_EXTRA_BAND * (first - second)[:, 0]) ** 2
    along = ((u + v) ** 2).sum(dim=1) + (_EXTRA_BAND * (first + second)[:, 0]) ** 2
    angle = 2 * torch.atan2((apart + _ROUNDING**2).sqrt() - _ROUNDING, along.sqrt())
    return _masked_mean(angle, valid)


def _inverse_length(spectra: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W), the additional band included."""
    return torch.rsqrt((spectra * spectra).sum(dim=1, keepdim=True) + _EXTRA_BAND**2)


def _patch_weight(logits: Tensor, valid: Tensor | None) -> Tensor:
    """How much of each patch is valid: (B, 1, h, w). The cells stand for the middle of the patches they judge."""
    if valid is None:
        return torch.ones_like(logits)
    return functional.adaptive_avg_pool2d(valid[:, None].to(logits.dtype), (logits.shape[-2], logits.shape[-1]))


def _mean_over_scales(losses: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()


def _check_kind(kind: str) -> None:
    if kind not in ADVERSARIAL:
        raise ValueError(f"expected an adversarial loss out of {', '.join(ADVERSARIAL)}, found {kind!r}")


def adversarial_discriminator_loss(
    real: Sequence[Sequence[Tensor]],
    fake: Sequence[Sequence[Tensor]],
    *,
    kind: str = "hinge",
    valid: Tensor | None = None,
) -> Tensor:
    """What the discriminator minimises: real above, fake below; mean over scales and patches.

    Args:
        real: Per scale the feature maps of the true images, the logits (B, 1, h, w) last.
        fake: The same of the made ones, which were made without a gradient.
        kind: `hinge`: max(0, 1 − real) + max(0, 1 + fake); `lsgan`: ((real − 1)² + fake²) / 2.
        valid: (B, H, W) of the true images; both images should hold the same values where it is False.
    """
    _check_kind(kind)
    losses = []
    for real_maps, fake_maps in zip(real, fake, strict=True):
        true_logits, made_logits = real_maps[-1].float(), fake_maps[-1].float()
        if kind == "hinge":
            loss = functional.relu(1 - true_logits) + functional.relu(1 + made_logits)
        else:
            loss = ((true_logits - 1) ** 2 + made_logits**2) / 2
        losses.append(_masked_mean(loss, _patch_weight(true_logits, valid)))
    return _mean_over_scales(losses)


def adversarial_generator_loss(
    fake: Sequence[Sequence[Tensor]], *, kind: str = "hinge", valid: Tensor | None = None
) -> Tensor:
    """What the generator minimises: `hinge`: −fake; `lsgan`: (fake − 1)² / 2; mean over scales and patches."""
    _check_kind(kind)
    losses = []
    for maps in fake:
        logits = maps[-1].float()
        loss = -logits if kind == "hinge" else (logits - 1) ** 2 / 2
        losses.append(_masked_mean(loss, _patch_weight(logits, valid)))
    return _mean_over_scales(losses)


def feature_matching_loss(
    real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]], *, valid: Tensor | None = None
) -> Tensor:
    """Mean absolute difference of the discriminator's features, logits left out (Wang et al., pix2pixHD).

    The true image's features are a fixed goal: no gradient flows into them.
    """
    losses = []
    for real_maps, fake_maps in zip(real, fake, strict=True):
        for true_map, made_map in zip(real_maps[:-1], fake_maps[:-1], strict=True):
            difference = (made_map.float() - true_map.detach().float()).abs()
            losses.append(_masked_mean(difference, _patch_weight(difference[:, :1], valid)))
    return _mean_over_scales(losses)


def r1_penalty(real: Sequence[Sequence[Tensor]], images: Tensor) -> Tensor:
    """Squared gradient of the logits at the true images (Mescheder et al. 2018), mean over the batch.

    Keeps a discriminator from becoming arbitrarily steep where there are few images. The sum over a scale's patches
    is divided by their number, so that one weight serves every image size.

    Args:
        real: What the discriminator says of `images`.
        images: (B, C, H, W), which must have required a gradient before they were judged.
    """
    total = _mean_over_scales([maps[-1].float().mean(dim=(1, 2, 3)).sum() for maps in real])
    (gradient,) = torch.autograd.grad(total, images, create_graph=True)
    # Each logit's share of the mean is 1 / patches: undone by the number of pixels per image.
    return (gradient.float() ** 2).sum(dim=(1, 2, 3)).mean() * math.prod(images.shape[-2:])


def energy_score(draws: Tensor, truth: Tensor, valid: Tensor, *, coarsest: int = 5) -> Tensor:
    """How far draws of a distribution are from a truth, less half of how far they are from each other.

    A proper scoring rule (Gneiting & Raftery 2007): on average lowest for draws from the distribution that the truth
    comes from, so that neither draws without a difference nor draws without an aim are rewarded. Distances are those
    of the spectra at each pixel, and at each pixel of copies that are halved up to `coarsest` times, since single
    pixels say nothing about how far a deviation reaches; and of the detail that each halving loses, which would
    hardly count beside what is as large and coarser.

    Args:
        draws: (B, S, C, H, W), S of two or more, independent.
        truth: (B, C, H, W).
        valid: (B, H, W).
        coarsest: Halvings; fewer where the image is not that large.
    """
    if draws.shape[1] < 2 or draws[:, 0].shape != truth.shape:
        raise ValueError(
            f"expected two or more draws (B, S, C, H, W), found {tuple(draws.shape)} for {tuple(truth.shape)}"
        )
    mask = valid[:, None, None]
    off = torch.where(mask, draws.float() - torch.where(valid[:, None], truth.float(), 0.0)[:, None], 0.0)
    weight = valid[:, None].float()
    levels = min(coarsest, int(math.log2(min(truth.shape[-2:]))))
    total = truth.new_zeros((), dtype=torch.float32)
    for level in range(levels + 1):
        mean = off / weight.clamp(min=1e-6)[:, None]
        total = total + _energy(mean, weight)
        if level < levels:
            side = [length // 2 * 2 for length in mean.shape[-2:]]  # what is left over at an edge is no pair
            fine, known = mean[..., : side[0], : side[1]], weight[..., : side[0], : side[1]]
            # Means over valid pixels, and how many they were.
            halved, weight = functional.avg_pool2d(off.flatten(0, 1), 2), functional.avg_pool2d(weight, 2)
            off = halved.reshape(*off.shape[:3], *halved.shape[-2:])
            coarse = (off / weight.clamp(min=1e-6)[:, None]).repeat_interleave(2, -1).repeat_interleave(2, -2)
            total = total + _energy(fine - coarse, known)
    return total / (2 * levels + 1)


def _energy(off: Tensor, weight: Tensor) -> Tensor:
    """The score at one scale: off the truth (B, S, C, H, W), weight (B, 1, H, W)."""
    aside = _length(off).mean(dim=1)
    apart = torch.stack([_length(off[:, a] - off[:, b]) for a, b in itertools.combinations(range(off.shape[1]), 2)])
    return _masked_mean(aside - apart.mean(dim=0) / 2, weight[:, 0])


def spread_likelihood(variance: Tensor, missing: Tensor, valid: Tensor) -> Tensor:
    """How well a variance tells the squared deviation of each pixel, both as means over bands.

    Minus the log likelihood of an exponential distribution: lowest where the one is the mean of the other (Dawid &
    Sebastiani 1999). A deviation of twice the size with twice the spread counts the same, so that quiet places matter
    as much as others.

    Args:
        variance: (B, C, H, W).
        missing: (B, C, H, W), truth less prediction, in channels.
        valid: (B, H, W).
    """
    missing, _ = _clean(missing, missing, valid)
    expected = variance.float().mean(dim=1) + _ROUNDING
    return _masked_mean(expected.log() + ((missing**2).mean(dim=1) + _ROUNDING) / expected, valid)


def _length(spectra: Tensor) -> Tensor:
    """(…, C, H, W) -> (…, H, W), rounded off at 0, where the slope of a length jumps."""
    return ((spectra * spectra).sum(dim=-3) + _ROUNDING**2).sqrt()
