"""Scores of several draws for the same place: do they differ, by the right amount, and in the right places?

Shape letters: S draws (two or more), B tiles, C bands, H W pixels. All of it in the space `display`.

- `pairwise_distance`: root mean square difference of two draws, mean over all pairs. 0: the model ignores its noise.
- `spread_rmse_ratio`: spread over the error of the draws' mean; 1 is the right amount for any number of draws, below 1
  the model is too sure. Independent draws have a mean that is off by a share of their own width, which the factor
  √((S + 1) / S) makes up for (Fortin et al. 2014). Balanced ones, those of `RSSpade.draw`, have the right mean and the
  right mean square as they are (exactly so in whole blocks).
- `rank_correlation`: Spearman's, over the pixels of a tile, of local spread and local error; mean over tiles.
- `tile_rank_correlation`: Spearman's over the tiles, of their spread and their error: which of them to trust.
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsspade.metrics.images import DISPLAY, masked_sum, scorable
from rsspade.metrics.rows import TileRows
from rsspade.metrics.scores import number

__all__ = ["SampleScores", "pairwise_distance", "rank_correlation"]


class SampleScores:
    """Accumulates the scores of draws; used as `ImageScores` is.

    Args:
        balanced: Whether the draws balance each other, or are independent.
    """

    def __init__(self, *, balanced: bool = False) -> None:
        self._balanced = balanced
        widths = dict.fromkeys(("pixels", "truth", "not_finite", "distance", "variance", "squared", "rank"), 1)
        self._rows = TileRows(widths, identity=2)

    @torch.no_grad()
    def add(self, samples: Tensor, truth: Tensor, *, valid: Tensor, tile: Tensor) -> None:
        """Score a batch of draws.

        Args:
            samples: (S, B, C, H, W) reflectance, S of two or more.
            truth: (B, C, H, W) reflectance.
            valid: (B, H, W) bool.
            tile: (B,) int64, the tile's number in the set; a tile counts once.
        """
        _check_samples(samples)
        cleaned = [scorable(draw, truth, valid) for draw in samples]
        _, true, valid = cleaned[0]
        true = DISPLAY.apply(true)
        draws = torch.stack([DISPLAY.apply(draw) for draw, _, _ in cleaned])
        # Over bands, so that one pixel has one spread and one error; (B, H, W) each.
        variance = draws.var(dim=0, correction=0).mean(dim=1)
        if not self._balanced:
            variance = variance * (len(draws) + 1) / (len(draws) - 1)
        squared = ((draws.mean(dim=0) - true) ** 2).mean(dim=1)
        self._rows.add(
            tile,
            {
                "pixels": valid.sum(dim=(-2, -1)),
                "truth": masked_sum(true, valid).sum(dim=1),
                "not_finite": (draws.isnan().any(dim=2).any(dim=0) & valid).sum(dim=(-2, -1)),
                "distance": _pairwise_distance(draws, valid),
                "variance": masked_sum(variance, valid),
                "squared": masked_sum(squared, valid),
                "rank": rank_correlation(variance, squared, valid),  # ranks do not mind that no root was taken
            },
        )

    def state(self, device: torch.device | str = "cpu") -> Tensor:
        """Everything gathered so far as one tensor, a row per tile: what travels between processes."""
        return self._rows.state(device)

    def merge(self, state: Tensor) -> None:
        """Take in the `state` of another process, or of all, padded with rows of `PADDING`."""
        self._rows.merge(state)

    def compute(self) -> dict[str, Any]:
        """The scores as JSON; None where one is undefined, as the rank correlation of draws that do not differ."""
        _, groups = self._rows.table()
        seen = groups["pixels"][:, 0] > 0
        values = {name: group[seen, 0] for name, group in groups.items()}
        total = values["pixels"].sum() or math.nan
        spread = math.sqrt(values["variance"].sum() / total)
        error = math.sqrt(values["squared"].sum() / total)
        ranked = np.isfinite(values["rank"]).any() and not values["not_finite"].any()
        of_tiles = _spearman(values["variance"] / values["pixels"], values["squared"] / values["pixels"])
        return {
            "pairwise_distance": number(values["distance"].mean()) if seen.any() else None,
            "spread": number(spread),
            "rmse_of_mean": number(error),
            "spread_rmse_ratio": number(spread / error) if error != 0 else None,
            "rank_correlation": number(np.nanmean(values["rank"])) if ranked else None,
            "tile_rank_correlation": number(of_tiles),
            "tiles": int(seen.sum()),
            "not_finite_pixels": int(values["not_finite"].sum()),
        }


def pairwise_distance(samples: Tensor, valid: Tensor) -> Tensor:
    """Root mean square difference over bands and valid pixels, mean over all pairs of draws; nothing is clipped.

    Args:
        samples: (S, B, C, H, W).
        valid: (B, H, W) bool; NaN for a tile without a valid pixel.

    Returns:
        (B,).
    """
    _check_samples(samples)
    anything = torch.zeros_like(samples[0])  # there is no truth to look at
    return _pairwise_distance(torch.stack([scorable(draw, anything, valid)[0] for draw in samples]), valid)


def _pairwise_distance(draws: Tensor, valid: Tensor) -> Tensor:
    values = valid.sum(dim=(-2, -1)) * draws.shape[2]
    pairs = [  # pair by pair, since all differences at once would take S² images of memory
        (masked_sum((first - second) ** 2, valid).sum(dim=1) / values).sqrt()
        for first, second in itertools.combinations(draws, 2)
    ]
    return torch.stack(pairs).mean(dim=0)


def rank_correlation(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    """Spearman's rank correlation over the valid pixels of each tile, equal values sharing their mean rank.

    Args:
        first: (B, H, W).
        second: (B, H, W).
        valid: (B, H, W) bool.

    Returns:
        (B,) double, NaN where undefined: fewer than two pixels, all values equal, or one not finite.
    """
    found = [
        _spearman(a[good], b[good])
        for a, b, good in zip(*(t.detach().cpu().numpy() for t in (first, second, valid)), strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    # scipy's own spearmanr warns where a side is constant, and warnings are errors to some callers.
    if len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return math.nan
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    from scipy.stats import rankdata  # here, since it is more than a quarter of all that a training imports, in time

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _check_samples(samples: Tensor) -> None:
    if samples.ndim != 5 or len(samples) < 2:
        raise ValueError(f"expected two or more draws (S, B, C, H, W), found {tuple(samples.shape)}")
