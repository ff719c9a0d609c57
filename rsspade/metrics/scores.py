"""The scores of a set of tiles, gathered batch by batch and process by process.

PSNR and SSIM are per tile and then averaged over tiles. Spectral angle, MAE, RMSE, ERGAS and the share of clipped
pixels are over all valid pixels of the set, so that a tile with ten clear pixels weighs ten pixels.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsspade.metrics.images import (
    DISPLAY,
    LOWEST_MSE,
    REFLECTANCE,
    SPACES,
    ScoreSpace,
    check_shapes,
    in_pieces,
    masked_sum,
    scorable,
    spectral_angle,
    ssim_sums,
    whole_windows,
)
from rsspade.metrics.rows import TileRows

__all__ = ["ImageScores", "number"]


class ImageScores:
    """Accumulates the scores of predictions against the truth; `compute` gives what `evaluate --json` writes.

    Across processes, with accelerate:

        state = accelerator.pad_across_processes(scores.state(accelerator.device), dim=0, pad_index=PADDING)
        total = ImageScores(bands)
        total.merge(accelerator.gather(state))

    Args:
        bands: Names of the optical bands, in the order of the images.
    """

    def __init__(self, bands: Sequence[str]) -> None:
        self.bands = tuple(bands)
        num = len(self.bands)
        widths = {"pixels": 1, "windows": 1} | {f"{s.name} truth": num for s in SPACES} | {"not_finite": 1}
        for space in SPACES:
            sizes = {"squared": num, "absolute": num, "ssim": num, "angle": 1, "clipped": 3}
            widths |= {f"{space.name} {name}": size for name, size in sizes.items()}
        self._rows = TileRows(widths, identity=2 + len(SPACES))

    @torch.no_grad()
    def add(self, prediction: Tensor, truth: Tensor, *, valid: Tensor, tile: Tensor) -> None:
        """Score a batch.

        Args:
            prediction: (B, C, H, W) reflectance.
            truth: (B, C, H, W) reflectance.
            valid: (B, H, W) bool, True where a pixel counts.
            tile: (B,) int64, the tile's number in the set. A tile counts once, since samplers of several processes
                repeat tiles to come out even.
        """
        check_shapes(prediction, truth, valid)
        if truth.shape[1] != len(self.bands):
            raise ValueError(f"expected {len(self.bands)} bands {self.bands}, found {truth.shape[1]}")
        for piece in in_pieces(prediction, truth, valid, tile):
            self._add(*piece)

    def _add(self, prediction: Tensor, truth: Tensor, valid: Tensor, tile: Tensor) -> None:
        prediction, truth, valid = scorable(prediction, truth, valid)
        whole = whole_windows(valid)
        groups = {
            "pixels": valid.sum(dim=(-2, -1)),
            "windows": whole.sum(dim=(-2, -1)),
            "not_finite": (prediction.isnan().any(dim=1) & valid).sum(dim=(-2, -1)),
        }
        for space in SPACES:
            sums = _space_sums(space, prediction, truth, valid, whole)
            groups |= {f"{space.name} {name}": value for name, value in sums.items()}
        self._rows.add(tile, groups)

    def state(self, device: torch.device | str = "cpu") -> Tensor:
        """Everything gathered so far as one tensor, a row per tile: what travels between processes."""
        return self._rows.state(device)

    def merge(self, state: Tensor) -> None:
        """Take in the `state` of another process, or of all, padded with rows of `PADDING`."""
        self._rows.merge(state)

    def compute(self) -> dict[str, Any]:
        """The scores as JSON: `display` space at the top, `reflectance` below it.

        A score that is undefined is None: no tile, no window wholly valid, or a prediction that is not finite
        (`not_finite_pixels` counts those).
        """
        _, groups = self._rows.table()
        has_pixels = groups["pixels"][:, 0] > 0
        groups = {name: values[has_pixels] for name, values in groups.items()}
        top, below = ({**self._scores(groups, space), **_clipped(groups, space)} for space in (DISPLAY, REFLECTANCE))
        return {
            **top,
            "reflectance": below,
            "tiles": int(has_pixels.sum()),
            "tiles_without_ssim": int((groups["windows"] == 0).sum()),
            "tiles_without_pixels": int((~has_pixels).sum()),
            "pixels": int(groups["pixels"].sum()),
            "not_finite_pixels": int(groups["not_finite"].sum()),
        }

    def per_tile(self) -> list[dict[str, Any]]:
        """The scores of each tile by itself in both spaces, by its number: the rows of a CSV file."""
        tiles, groups = self._rows.table()
        rows = []
        for n, tile in enumerate(tiles):
            own = {name: values[n : n + 1] for name, values in groups.items()}
            row: dict[str, Any] = {"tile": int(tile), "pixels": int(own["pixels"].sum())}
            for space in SPACES:
                prefix = "" if space is DISPLAY else f"{space.name}_"
                scores = self._scores(own, space)
                row |= {f"{prefix}{name}": value for name, value in scores.items() if name != "per_band"}
            rows.append(row)
        return rows

    def _scores(self, groups: dict[str, np.ndarray], space: ScoreSpace) -> dict[str, Any]:
        pixels = groups["pixels"]
        # One pixel that is not finite spoils its tile, even where no window of SSIM holds it.
        spoilt = np.where(groups["not_finite"] > 0, math.nan, 0.0)
        squared, absolute, ssim, angle, truth = (
            groups[f"{space.name} {name}"] + spoilt for name in ("squared", "absolute", "ssim", "angle", "truth")
        )
        seen, total = pixels[:, 0] > 0, pixels.sum()
        mean_squared = squared[seen] / pixels[seen]  # of each tile and band
        windowed = groups["windows"][:, 0] > 0
        tile_ssim = ssim[windowed] / groups["windows"][windowed]
        with np.errstate(invalid="ignore", divide="ignore"):
            sam_rad = angle.sum() / total
            band_mae, band_mse = absolute.sum(axis=0) / total, squared.sum(axis=0) / total
            ergas = 100 * np.sqrt((band_mse / (truth.sum(axis=0) / total) ** 2).mean())
        return {
            "psnr": number(_mean(_decibels(mean_squared.mean(axis=1)))),
            "ssim": number(_mean(tile_ssim.mean(axis=1))),
            "sam_rad": number(sam_rad),
            "sam_deg": number(math.degrees(sam_rad)),
            "mae": number(band_mae.mean()),
            "rmse": number(np.sqrt(band_mse.mean())),
            "ergas": number(ergas),
            "per_band": {
                band: {
                    "psnr": number(_mean(_decibels(mean_squared[:, n]))),
                    "ssim": number(_mean(tile_ssim[:, n])),
                    "mae": number(band_mae[n]),
                    "rmse": number(np.sqrt(band_mse[n])),
                }
                for n, band in enumerate(self.bands)
            },
        }


def _space_sums(
    space: ScoreSpace, prediction: Tensor, truth: Tensor, valid: Tensor, whole: Tensor
) -> dict[str, Tensor]:
    """The sums of each tile in one space; the images are those of `scorable`, still in reflectance."""
    clips = [space.clips(prediction), space.clips(truth)]  # pixels that do not count are 0, which is never clipped
    clipped = torch.stack([c.sum(dim=(-2, -1)) for c in (clips[0] | clips[1], *clips)], dim=1)
    prediction, truth = space.apply(prediction), space.apply(truth)
    return {
        "truth": masked_sum(truth, valid),
        "squared": masked_sum((prediction - truth) ** 2, valid),
        "absolute": masked_sum((prediction - truth).abs(), valid),
        "ssim": ssim_sums(prediction, truth, whole),
        "angle": masked_sum(spectral_angle(prediction, truth), valid),
        "clipped": clipped,
    }


def _clipped(groups: dict[str, np.ndarray], space: ScoreSpace) -> dict[str, float | None]:
    """Shares of the valid pixels that lie outside the space: in either image, in the prediction, in the truth."""
    total = groups["pixels"].sum()
    shares = groups[f"{space.name} clipped"].sum(axis=0) / (total or math.nan)
    return {
        name: number(share)
        for name, share in zip(("clipped", "clipped_prediction", "clipped_truth"), shares, strict=True)
    }


def _decibels(mean_squared: np.ndarray) -> np.ndarray:
    return np.asarray(-10 * np.log10(np.maximum(mean_squared, LOWEST_MSE)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def number(value: float | np.floating[Any]) -> float | None:
    """A score for JSON, which knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None
