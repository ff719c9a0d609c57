"""How much there is to see in an image: contrast within small windows, how well neighbouring classes part, gradients.

Images are in the space of the scores, (C, H, W) in 0..1; every measure is a mean over the bands.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from rsspade.sources import UNLABELLED

__all__ = ["MEASURES", "class_pairs", "distances", "gradients", "jeffries_matusita", "local_contrast", "tile_measures"]

MEASURES: Mapping[str, str] = {
    "contrast": "local contrast",
    "contrast_weak": "local contrast where it is weakest",
    "gradient": "gradient",
    "gradient_border": "gradient at class borders",
    "gradient_inside": "gradient inside classes",
    "distance": "distance of neighbouring classes",
    "inside": "spread inside classes",
    "jm": "separability of neighbouring classes (JM)",
    "jm_weak": "separability of classes with similar spectra (JM)",
}
"""Measure -> title."""

WINDOW = 9
"""Pixels a side of a window of the local contrast: 90 m."""
WEAK = 0.25
"""Share of the windows of a tile that count as weak in contrast."""
MIN_PIXELS, MIN_BORDER = 60, 24
"""Pixels that a class needs in a tile to have a covariance, and pixel edges that make two classes neighbours."""
NOISE = 0.005
"""Added to every band's spread in a covariance: that of the sensor, 0.002 reflectance. Without it the class-mean image, in
which a class has no spread at all, would part classes infinitely well."""


def local_contrast(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Standard deviation in every window, (H', W'); NaN where a pixel of the window is not valid."""
    kept = np.where(valid, image, 0.0).astype(np.float64)
    mean = ndimage.uniform_filter(kept, (1, WINDOW, WINDOW))
    square = ndimage.uniform_filter(kept**2, (1, WINDOW, WINDOW))
    found = np.sqrt(np.maximum(square - mean**2, 0)).mean(axis=0)
    found[ndimage.minimum_filter(valid.astype(np.uint8), WINDOW) == 0] = np.nan
    edge = WINDOW // 2
    return np.asarray(found[edge:-edge, edge:-edge])


def gradients(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Change per pixel (Sobel), (H', W') without the outermost pixels; NaN beside pixels that are not valid."""
    kept = np.where(valid, image, 0.0).astype(np.float64)
    # Band by band: on the whole, the filter would smooth across bands too.
    steep = [np.hypot(ndimage.sobel(band, axis=0), ndimage.sobel(band, axis=1)) / 8 for band in kept]
    found = np.mean(steep, axis=0)
    found[ndimage.minimum_filter(valid.astype(np.uint8), 3) == 0] = np.nan
    return np.asarray(found[1:-1, 1:-1])


def class_pairs(classes: np.ndarray) -> dict[tuple[int, int], int]:
    """Labelled classes that meet in a tile -> pixel edges that they share."""
    found: dict[tuple[int, int], int] = {}
    for one, other in ((classes[:, 1:], classes[:, :-1]), (classes[1:], classes[:-1])):
        meet = (one != other) & (one != UNLABELLED) & (other != UNLABELLED)
        low, high = np.minimum(one[meet], other[meet]), np.maximum(one[meet], other[meet])
        pairs, counts = np.unique(np.stack([low, high]), axis=1, return_counts=True)
        for (a, b), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            found[a, b] = found.get((a, b), 0) + count
    return found


def jeffries_matusita(first: np.ndarray, second: np.ndarray) -> float:
    """Of two sets of spectra (C, N), as normal distributions: 0 where they are the same, 2 where they do not overlap."""
    noise = NOISE**2 * np.eye(len(first))
    a, b = np.cov(first) + noise, np.cov(second) + noise
    apart, middle = first.mean(axis=1) - second.mean(axis=1), (a + b) / 2
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (middle, a, b)]
    bhattacharyya = apart @ np.linalg.solve(middle, apart) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2
    return float(2 * (1 - np.exp(-bhattacharyya)))


def distances(spectra: Mapping[int, np.ndarray]) -> dict[tuple[int, int], float]:
    """Every pair of classes -> distance of their spectra."""
    return {
        (a, b): float(np.linalg.norm(spectra[a] - spectra[b])) for a, b in itertools.combinations(sorted(spectra), 2)
    }


def tile_measures(
    images: Mapping[str, np.ndarray],
    valid: np.ndarray,
    classes: np.ndarray,
    similar: Sequence[tuple[int, int]],
) -> dict[str, dict[str, float]]:
    """Every measure of every image of a tile; what a tile has no classes or windows for is left out.

    Args:
        images: By kind; `real` and `synthetic` are among them.
        valid: (H, W), where all are known.
        classes: (H, W) ids.
        similar: Pairs of classes that are hard to tell apart.
    """
    contrasts = {kind: local_contrast(image, valid) for kind, image in images.items()}
    # By both images together: chosen by one alone, the other would be larger there by mere chance.
    both = np.sqrt(contrasts["real"] * contrasts["synthetic"])
    if not np.isfinite(both).any():
        return {}
    weak = both <= np.nanquantile(both, WEAK)
    inner = classes[1:-1, 1:-1]
    border = ndimage.maximum_filter(classes, 3)[1:-1, 1:-1] != ndimage.minimum_filter(classes, 3)[1:-1, 1:-1]
    found: dict[str, dict[str, float]] = {name: {} for name in MEASURES}
    for kind, image in images.items():
        found["contrast"][kind] = float(np.nanmean(contrasts[kind]))
        found["contrast_weak"][kind] = float(np.mean(contrasts[kind][weak]))
        steep = gradients(image, valid)
        seen = np.isfinite(steep) & (inner != UNLABELLED)
        for name, where in (
            ("gradient", seen),
            ("gradient_border", seen & border),
            ("gradient_inside", seen & ~border),
        ):
            if where.any():
                found[name][kind] = float(steep[where].mean())
        for name, value in _class_measures(image, valid, classes, similar).items():
            found[name][kind] = value
    return {name: own for name, own in found.items() if own}


def _class_measures(
    image: np.ndarray, valid: np.ndarray, classes: np.ndarray, similar: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Between the neighbouring classes of a tile."""
    spectra = {int(c): image[:, valid & (classes == c)] for c in np.unique(classes) if c != UNLABELLED}
    spectra = {c: own for c, own in spectra.items() if own.shape[1] >= MIN_PIXELS}
    met = [pair for pair, edges in class_pairs(classes).items() if edges >= MIN_BORDER and set(pair) <= spectra.keys()]
    if not met:
        return {}
    parted = {pair: jeffries_matusita(spectra[pair[0]], spectra[pair[1]]) for pair in met}
    apart = [np.abs(spectra[a].mean(axis=1) - spectra[b].mean(axis=1)).mean() for a, b in met]
    found = {
        "jm": float(np.mean(list(parted.values()))),
        "distance": float(np.mean(apart)),
        "inside": float(np.mean([spectra[c].std(axis=1).mean() for pair in met for c in pair])),
    }
    hard = [value for pair, value in parted.items() if pair in similar]
    return found | ({"jm_weak": float(np.mean(hard))} if hard else {})
