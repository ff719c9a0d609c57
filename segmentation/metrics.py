"""Scores of a land-cover map, all from one confusion matrix.

Shape letters: K classes; rows of the matrix are the truth, columns the prediction, counts int64. Pixels without a
label are not in it. Classes that are neither in the truth nor in the prediction stay out of all means; the scores of
a class whose denominator is 0 are 0 otherwise. Kappa is 0 where it is undefined.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["confusion_matrix", "scores"]


def confusion_matrix(truth: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """Class indices of the same shape -> counts (K, K) int64 on their device; truth ≥ K is unlabelled."""
    if truth.shape != prediction.shape:
        raise ValueError(f"expected a prediction {tuple(truth.shape)}, found {tuple(prediction.shape)}")
    labelled = truth < num_classes
    # Without picking pixels out, which would make the host wait: what is not labelled is counted in a bin of its own.
    cell = torch.where(labelled, truth * num_classes + prediction, num_classes**2)
    counts = torch.bincount(cell.flatten().long(), minlength=num_classes**2 + 1)
    return counts[:-1].view(num_classes, num_classes)


def scores(matrix: Tensor | np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The scores of a map: overall, and per class under `per_class` (None for a class that does not occur).

    IoU, PA (producer's accuracy, recall), UA (user's accuracy, precision) and F1 per class; `accuracy` (OA), `miou`,
    `mpa`, `mf1`, `fwiou` and `kappa` over all. All None where no pixel is labelled.
    """
    counts = np.asarray(matrix, np.float64)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"expected a matrix of {len(names)} classes, found {counts.shape}")
    total, hits = counts.sum(), counts.diagonal()
    true, made = counts.sum(axis=1), counts.sum(axis=0)
    found = {
        "iou": _ratio(hits, true + made - hits), "pa": _ratio(hits, true), "ua": _ratio(hits, made),
        "f1": _ratio(2 * hits, true + made),
    }  # fmt: skip
    there = true + made > 0
    per_class = {
        name: {"pixels": int(true[n]), "predicted": int(made[n])}
        | {score: float(values[n]) if there[n] else None for score, values in found.items()}
        for n, name in enumerate(names)
    }
    overall: dict[str, float | None] = dict.fromkeys(("accuracy", "miou", "kappa", "mpa", "mf1", "fwiou"))
    if total > 0:
        overall = {
            "accuracy": float(hits.sum() / total),
            "miou": float(found["iou"][there].mean()),
            "kappa": _kappa(hits.sum() / total, float((true * made).sum() / total**2)),
            "mpa": float(found["pa"][there].mean()),
            "mf1": float(found["f1"][there].mean()),
            "fwiou": float((true * found["iou"]).sum() / total),
        }
    return {
        **overall, "per_class": per_class, "pixels": int(total), "confusion": counts.astype(np.int64).tolist(),
        "classes": list(names),
    }  # fmt: skip


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def _kappa(agreement: float, by_chance: float) -> float:
    return 0.0 if by_chance >= 1 else float((agreement - by_chance) / (1 - by_chance))
