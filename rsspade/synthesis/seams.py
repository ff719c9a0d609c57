"""Patches that were laid side by side, brought together where they meet within a class (Poisson blending, Pérez et al. 2003).

Shape letters: C bands, H W pixels.
"""

import torch
from torch import Tensor

__all__ = ["NOBODY", "STIFFNESS", "without_seams"]

NOBODY = -1
"""In place of a patch's number, where there is none."""

STIFFNESS = 0.3
"""How little values give way: what a seam changes fades over two pixels."""

_ROUNDS = 25
"""Of conjugate gradients; with this stiffness the answer has six digits by then."""

_TINY = 1e-30
"""Against 0 / 0, where nothing is left to change."""


def without_seams(laid: Tensor, patch: Tensor, classes: Tensor) -> Tensor:
    """The values (C, H, W), changed as little as may be, so that patches of one class run into each other.

    The sum of squares is least of three things: how neighbours of one patch differ otherwise than before, how neighbours of
    two patches differ at all, where their class is the same, and, times `STIFFNESS`, the change itself. Where classes meet,
    patches may differ.

    Args:
        laid: (C, H, W) as they were laid down.
        patch: (H, W) number of the patch that each pixel is of, or `NOBODY`: then it stays as it is.
        classes: (H, W) class ids.
    """
    axes = (-2, -1)
    bound, missing = list[Tensor](), list[Tensor]()
    for axis in axes:
        same_patch, same_class = (torch.eq(*_neighbours(x, axis)) for x in (patch, classes))
        held = torch.logical_and(*_neighbours(patch != NOBODY, axis))
        bound.append((held & (same_patch | same_class)).to(laid.dtype))
        missing.append(torch.where(held & same_class & ~same_patch, -laid.diff(dim=axis), 0.0))

    def weighed(change: Tensor) -> Tensor:
        pulls = [_gathered(pairs * change.diff(dim=axis), axis) for axis, pairs in zip(axes, bound, strict=True)]
        return STIFFNESS * change + pulls[0] + pulls[1]

    change = torch.zeros_like(laid)
    rest = _gathered(missing[0], axes[0]) + _gathered(missing[1], axes[1])
    way, length = rest, _total(rest * rest)
    for _ in range(_ROUNDS):
        heavy = weighed(way)
        size = length / _total(way * heavy).clamp(min=_TINY)
        change, rest = change + size * way, rest - size * heavy
        before, length = length, _total(rest * rest)
        way = rest + length / before.clamp(min=_TINY) * way
    return laid + change


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Each pixel but the first, and the one before it."""
    return x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, 0, x.shape[axis] - 1)


def _gathered(steps: Tensor, axis: int) -> Tensor:
    """What steps between neighbours pull at each pixel: the transpose of `diff`."""
    edge = torch.zeros_like(steps.narrow(axis, 0, 1))
    return -torch.diff(steps, dim=axis, prepend=edge, append=edge)


def _total(x: Tensor) -> Tensor:
    return x.sum(dim=(-2, -1), keepdim=True)
