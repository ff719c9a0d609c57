"""Losses of a segmentation network, each as a sum and what it is divided by.

Shape letters: B batch, K classes, H W pixels. Sum and divisor apart, so that several processes divide by what all of
them saw: a batch that is dealt out gives the gradients of the whole one, however its labels lie. A pixel whose label is
`IGNORED` reaches neither.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["IGNORED", "Part", "class_weights", "cross_entropy", "dice", "divide", "focal"]

IGNORED = 255
"""The label of a pixel that teaches nothing."""


class Part(NamedTuple):
    """A loss before the division: both scalars."""

    total: Tensor
    divisor: Tensor


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Part:
    """(B, K, H, W), (B, H, W) int64 -> weighted cross-entropy over the labelled pixels."""
    return focal(logits, labels, weights, gamma=0.0)


def focal(logits: Tensor, labels: Tensor, weights: Tensor | None, *, gamma: float) -> Part:
    """Cross-entropy times (1 − p) to the power γ, which turns to the pixels that are still wrong (Lin et al. 2017)."""
    surprise = functional.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED)
    known = labels != IGNORED
    weight = known.to(logits.dtype)
    if weights is not None:
        weight = torch.where(known, weights.to(logits.dtype)[torch.where(known, labels, 0)], 0.0)
    # By expm1, and away from 0: the slope of a power below 1 is infinite there.
    doubt = (-torch.expm1(-surprise)).clamp(min=1e-6) ** gamma if gamma > 0 else 1.0
    return Part((weight * doubt * surprise).sum(), weight.sum())


def dice(logits: Tensor, labels: Tensor) -> Part:
    """1 − Dice of each class that an image holds: an image's rare class counts as much as its commonest."""
    known = (labels != IGNORED)[:, None]
    truth = functional.one_hot(torch.where(known[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * known
    made = logits.softmax(dim=1) * known
    overlap = (made * truth).sum(dim=(-2, -1))  # (B, K)
    size = made.sum(dim=(-2, -1)) + truth.sum(dim=(-2, -1))
    there = truth.sum(dim=(-2, -1)) > 0
    lost = torch.where(there, 1 - 2 * overlap / size.clamp(min=1e-6), 0.0)
    return Part(lost.sum(), there.sum().to(logits.dtype))


def class_weights(pixels: np.ndarray, power: float) -> np.ndarray:
    """Pixels per class (K,) -> a weight each, (1 / share) to the power, on average 1 over the labelled pixels.

    Power 0 weighs all pixels alike, 1 all classes. A class without a pixel gets 1.
    """
    share = pixels / max(pixels.sum(), 1)
    weights = np.ones(len(pixels))
    weights[share > 0] = share[share > 0] ** -power
    mean = (share * weights).sum()
    weights[share > 0] /= mean if mean > 0 else 1.0
    return weights


def divide(parts: Mapping[str, Part], counts: Tensor, processes: int) -> dict[str, Tensor]:
    """The losses by name; `counts` (parts,) are the divisors of all processes, whose gradients will be averaged."""
    return {
        name: part.total * processes / count.clamp(min=1e-6)
        for (name, part), count in zip(parts.items(), counts, strict=True)
    }
