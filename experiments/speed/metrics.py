"""Our PSNR and SSIM against scikit-image's: the same numbers, and how much faster a batch of tiles is scored."""

from typing import Any

import numpy as np
import torch

from experiments.cells.timing import interleaved
from experiments.speed.models import best_device
from rsspade.metrics.images import psnr, ssim

__all__ = ["measure_metrics"]


def measure_metrics(*, tiles: int, side: int, rounds: int) -> dict[str, Any]:
    """Seconds for a batch of four-band tiles, ratios, and the largest difference between the two."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    rng = np.random.default_rng(0)
    truth = rng.random((tiles, 4, side, side), np.float32)
    image = np.clip(truth + rng.normal(0, 0.05, truth.shape), 0, 1).astype(np.float32)
    ours, real = (torch.from_numpy(values).to(best_device()) for values in (image, truth))
    valid = torch.ones(tiles, side, side, dtype=torch.bool, device=best_device())
    theirs = list(zip(image.astype(np.float64), truth.astype(np.float64), strict=True))  # our sums are double too

    def their_ssim(one: np.ndarray, other: np.ndarray) -> float:
        return float(structural_similarity(
            other, one, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
        ))  # fmt: skip

    calls = {
        "psnr": lambda: psnr(ours, real, valid).tolist(), "ssim": lambda: ssim(ours, real, valid).tolist(),
        "psnr of scikit-image": lambda: [peak_signal_noise_ratio(t, i, data_range=1) for i, t in theirs],
        "ssim of scikit-image": lambda: [their_ssim(i, t) for i, t in theirs],
    }  # fmt: skip
    times = interleaved(calls, rounds=rounds)
    return {
        "tile": side, "tiles": tiles, "threads": torch.get_num_threads(), "seconds": times.medians(),
        "ratios": {name: times.ratio(f"{name} of scikit-image", name) for name in ("psnr", "ssim")},
        "largest_difference": {
            name: float(np.abs(np.subtract(calls[name](), calls[f"{name} of scikit-image"]())).max())
            for name in ("psnr", "ssim")
        },
    }  # fmt: skip
