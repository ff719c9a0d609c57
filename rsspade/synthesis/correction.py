"""What a synthetic image must be changed by to fit the real one around a gap.

Shape letters: C bands, H W pixels.

At clear pixels the difference between both images is known. Its first part belongs to the scene: a regression on the
synthetic bands, an offset and gains, says how the whole scene is darker, hazier or greener than the generator thinks
(`SceneFit`). What is left belongs to places, and is carried into the gaps by a pyramid of means (`local_correction`):
each level is the mean of the known differences nearby, and where few are known it leans on the coarser level, the
coarsest on 0. So the correction follows the last clear pixels at the rim of a gap, grows smoother with the distance
from it, and far from any clear pixel is that of the scene alone. Both parts are bounded.

The idea of the pyramid is that of push-pull interpolation (Gortler et al., "The lumigraph", 1996), with a prior. How
much each part brings is measured in the project's `experiments/scene`.
"""

from typing import Final, Self

import numpy as np
from scipy import ndimage

__all__ = ["CORRECTION_MARGIN", "HIGHEST", "LATTICE", "SceneFit", "local_correction"]

_LEVELS: Final = 7  # cells of 1 to 64 pixels
_SMOOTHING: Final = 1.0  # standard deviation in cells
_REACH: Final = 3  # cells
_RIDGE: Final = 1e-4  # a variance of synthetic reflectance below which a gain is not believed
_PRIOR: Final = 0.1  # known share of the surroundings at which a level counts as much as the coarser one

HIGHEST = 0.2
"""Differences beyond this are clouds that the mask has missed, not brightness."""

LATTICE = 2 ** (_LEVELS - 1)
"""Windows begin and end at multiples of this, so that all of them meet the same cells."""

CORRECTION_MARGIN = LATTICE * 8
"""Pixels that a window needs around it for the same result as the whole."""


class SceneFit:
    """The part of the difference that a whole scene shares, from sums that any number of windows may add to."""

    def __init__(self, num_bands: int) -> None:
        self._count = 0
        self._synthetic = np.zeros(num_bands)
        self._difference = np.zeros(num_bands)
        self._squares = np.zeros((num_bands, num_bands))
        self._products = np.zeros((num_bands, num_bands))

    def add(self, synthetic: np.ndarray, real: np.ndarray, known: np.ndarray) -> Self:
        """Count the pixels (H, W) that are known of both images (C, H, W)."""
        x = synthetic[:, known].astype(np.float64)  # (C, N)
        d = np.clip(real[:, known].astype(np.float64) - x, -HIGHEST, HIGHEST)
        self._count += x.shape[1]
        self._synthetic += x.sum(axis=1)
        self._difference += d.sum(axis=1)
        self._squares += x @ x.T
        self._products += d @ x.T
        return self

    def predict(self, synthetic: np.ndarray) -> np.ndarray:
        """What to add to synthetic pixels (C, H, W); 0 where no pixel was known."""
        if not self._count:
            return np.zeros_like(synthetic)
        middle, offset = self._synthetic / self._count, self._difference / self._count
        variance = self._squares / self._count - np.outer(middle, middle)
        covariance = self._products / self._count - np.outer(offset, middle)
        gains = covariance @ np.linalg.inv(variance + _RIDGE * np.eye(len(middle)))
        told = np.tensordot(gains, synthetic - middle[:, None, None], axes=1) + offset[:, None, None]
        return np.clip(told, -HIGHEST, HIGHEST).astype(np.float32)


def local_correction(difference: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Carry differences into gaps.

    Args:
        difference: (C, H, W) real minus synthetic; H and W are multiples of `LATTICE`.
        known: (H, W) where it counts.

    Returns:
        (C, H, W) float32, a mean of known differences (as far as they are believed, `HIGHEST`) and 0.
    """
    clipped = np.where(known, np.clip(difference, -HIGHEST, HIGHEST), 0).astype(np.float32)
    pyramid = [(clipped, known.astype(np.float32))]
    for _ in range(_LEVELS - 1):
        values, share = pyramid[-1]
        pyramid.append((_halved(values), _halved(share)))
    values, share = pyramid.pop()
    field = _smooth(values) / (_smooth(share) + _PRIOR)
    for values, share in reversed(pyramid):
        field = (_smooth(values) + _PRIOR * _doubled(field)) / (_smooth(share) + _PRIOR)
    return np.asarray(field)


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
