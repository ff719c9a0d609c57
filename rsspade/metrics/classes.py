"""The scores of each land-cover class, and its mean spectrum in the truth and in the prediction.

Sums over all pixels of a class, so that a tile with ten pixels of it weighs ten pixels; PSNR too comes from the mean
squared error over the class, since a mean over tiles would be ruled by tiles that hardly hold it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsspade.landcover import Scheme
from rsspade.metrics.images import DISPLAY, LOWEST_MSE, scorable, spectral_angle
from rsspade.metrics.rows import TileRows
from rsspade.metrics.scores import number

__all__ = ["ClassScores"]


class ClassScores:
    """Accumulates the scores of each class; travels between processes as `ImageScores` does.

    Args:
        bands: Names of the optical bands, in the order of the images.
        scheme: Of the land cover.
    """

    def __init__(self, bands: Sequence[str], scheme: Scheme) -> None:
        self.bands = tuple(bands)
        self.scheme = scheme
        num = len(self.bands)
        # Of each class: pixels, not finite, absolute, squared, angle; of each band true, true², made, made².
        self._columns = 5 + 4 * num
        self._rows = TileRows({"sums": len(scheme.classes) * self._columns}, identity=0)

    @torch.no_grad()
    def add(self, prediction: Tensor, truth: Tensor, *, valid: Tensor, landcover: Tensor, tile: Tensor) -> None:
        """Score a batch.

        Args:
            prediction: (B, C, H, W) reflectance.
            truth: (B, C, H, W) reflectance.
            valid: (B, H, W) bool, True where a pixel counts.
            landcover: (B, 1, H, W) uint8 class ids; unlabelled pixels are passed over.
            tile: (B,) int64, the tile's number in the set.
        """
        if landcover.shape != truth[:, :1].shape:
            raise ValueError(f"expected land cover {tuple(truth[:, :1].shape)}, found {tuple(landcover.shape)}")
        prediction, truth, valid = scorable(prediction, truth, valid)
        finite = torch.isfinite(prediction).all(dim=1)
        made = torch.where(finite[:, None], prediction, 0.0)  # NaN times 0 would spoil the other classes
        shown, goal = DISPLAY.apply(made), DISPLAY.apply(truth)
        pixel = torch.ones_like(made[:, 0])
        values = torch.cat([
            torch.stack([
                pixel, (~finite).to(pixel), (shown - goal).abs().mean(dim=1), ((shown - goal) ** 2).mean(dim=1),
                spectral_angle(shown, goal),
            ], dim=1), truth, truth**2, made, made**2,
        ], dim=1)  # fmt: skip
        ids = torch.tensor(self.scheme.ids, dtype=landcover.dtype, device=landcover.device)
        # A product of matrices and not a scatter, which on a GPU adds up in another order each time.
        sums = [
            ((cover.reshape(1, -1) == ids[:, None]) & where.reshape(1, -1)).to(own) @ own.flatten(1).T
            for cover, where, own in zip(landcover, valid, values, strict=True)
        ]
        self._rows.add(tile, {"sums": torch.stack(sums)})

    def state(self, device: torch.device | str = "cpu") -> Tensor:
        """Everything gathered so far as one tensor, a row per tile."""
        return self._rows.state(device)

    def merge(self, state: Tensor) -> None:
        """Take in the `state` of another process, or of all, padded with rows of `PADDING`."""
        self._rows.merge(state)

    def compute(self) -> dict[str, dict[str, Any]]:
        """Class name -> scores in `display` space, and spectra in reflectance; only classes that have pixels."""
        _, groups = self._rows.table()
        sums = groups["sums"].sum(axis=0).reshape(len(self.scheme.classes), self._columns)
        return {name: self._scores(own) for name, own in zip(self.scheme.names, sums, strict=True) if own[0] > 0}

    def _scores(self, sums: np.ndarray) -> dict[str, Any]:
        pixels, not_finite = sums[:2]
        spoilt = math.nan if not_finite > 0 else 0.0
        absolute, squared, angle = sums[2:5] / pixels + spoilt
        true, true_squared, made, made_squared = (sums[5:] / pixels).reshape(4, -1)
        return {
            "pixels": int(pixels),
            "psnr": number(-10 * np.log10(np.maximum(squared, LOWEST_MSE))),
            "mae": number(absolute),
            "rmse": number(np.sqrt(squared)),
            "sam_rad": number(angle),
            "sam_deg": number(math.degrees(angle)),
            "mean_true": _numbers(true),
            "std_true": _numbers(_deviation(true, true_squared)),
            "mean_made": _numbers(made + spoilt),
            "std_made": _numbers(_deviation(made, made_squared) + spoilt),
        }


def _deviation(mean: np.ndarray, mean_of_squares: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(mean_of_squares - mean**2, 0)))


def _numbers(values: np.ndarray) -> list[float | None]:
    return [number(value) for value in values]
