"""What a synthetic image must be changed by to fit the real one around a gap.

Shape letters: C bands, H W pixels.

At clear pixels the difference between both images is known; into the gap it is carried by a pyramid of means. Each
level is the mean of the known differences nearby, and where few are known it leans on the coarser level, the coarsest
on the mean of the whole scene. So the correction follows the last clear pixels at the rim of a gap, grows smoother
with the distance from it, and is a mean of differences everywhere: it can nowhere be larger than they are.

The idea is that of push-pull interpolation (Gortler et al., "The lumigraph", 1996), with a prior.
"""

from typing import Final

import numpy as np
from scipy import ndimage

__all__ = ["CORRECTION_MARGIN", "HIGHEST", "LATTICE", "correction"]

_LEVELS: Final = 7  # cells of 1 to 64 pixels
_SMOOTHING: Final = 1.0  # standard deviation in cells
_REACH: Final = 3  # cells
_PRIOR: Final = 0.1  # known share of the surroundings at which a level counts as much as the coarser one

HIGHEST = 0.2
"""Differences beyond this are clouds that the mask has missed, not brightness."""

LATTICE = 2 ** (_LEVELS - 1)
"""Windows begin and end at multiples of this, so that all of them meet the same cells."""

CORRECTION_MARGIN = LATTICE * 8
"""Pixels that a window needs around it for the same result as the whole."""


def correction(difference: np.ndarray, known: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """Carry differences into gaps.

    Args:
        difference: (C, H, W) real minus synthetic; H and W are multiples of `LATTICE`.
        known: (H, W) where it counts.
        overall: (C,) the mean of the scene.

    Returns:
        (C, H, W) float32.
    """
    clipped = np.where(known, np.clip(difference, -HIGHEST, HIGHEST), 0).astype(np.float32)
    pyramid = [(clipped, known.astype(np.float32))]
    for _ in range(_LEVELS - 1):
        values, share = pyramid[-1]
        pyramid.append((_halved(values), _halved(share)))
    values, share = pyramid[-1]
    field = np.broadcast_to(overall.astype(np.float32)[:, None, None], values.shape)
    for level, (values, share) in enumerate(reversed(pyramid)):
        prior = field if level == 0 else _doubled(field)
        field = (_smooth(values) + _PRIOR * prior) / (_smooth(share) + _PRIOR)
    return field


def _halved(values: np.ndarray) -> np.ndarray:
    """Means over 2×2 pixels."""
    rows = values[..., 0::2, :] + values[..., 1::2, :]
    return np.asarray((rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25))


def _doubled(values: np.ndarray) -> np.ndarray:
    """Twice the size, linear between the middles of the cells."""
    for axis in (-2, -1):
        padded = np.pad(
            values, [(1, 1) if axis + values.ndim == n else (0, 0) for n in range(values.ndim)], mode="edge"
        )
        length = values.shape[axis]
        before, after = (np.take(padded, range(first, first + length), axis) for first in (0, 2))
        pairs = np.stack(
            [
                values * np.float32(0.75) + before * np.float32(0.25),
                values * np.float32(0.75) + after * np.float32(0.25),
            ],
            axis=axis % values.ndim + 1,
        )
        shape = list(values.shape)
        shape[axis] *= 2
        values = pairs.reshape(shape)
    return values


def _smooth(values: np.ndarray) -> np.ndarray:
    for axis in (-2, -1):
        values = ndimage.gaussian_filter1d(values, _SMOOTHING, axis=axis, mode="constant", radius=_REACH)
    return values
