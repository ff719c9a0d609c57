"""What a network must beat: a random forest that sees each pixel by itself, in the same bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rsspade.channels import Scaling
from rsspade.data.collate import collate_samples
from rsspade.data.torch_dataset import TileDataset
from segmentation.losses import IGNORED
from segmentation.metrics import confusion_matrix, scores
from segmentation.parts import Batch, to_device

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

__all__ = ["PixelForest", "fit_forest"]


@dataclass(frozen=True, slots=True)
class PixelForest:
    """A fitted forest.

    Attributes:
        forest: Of scikit-learn; its classes are class indices.
        sources: What it sees, encoded as for a network.
    """

    forest: "RandomForestClassifier"
    sources: tuple[str, ...]

    def predict(self, tiles: TileDataset, position: int) -> np.ndarray:
        """The class indices (H, W) of a tile."""
        batch = _batch(tiles, [position], self.sources)
        features = _features(batch)
        return np.asarray(self.forest.predict(features)).reshape(batch.labels.shape[1:])

    def score(self, tiles: TileDataset) -> dict[str, Any]:
        """The scores of `segmentation.metrics` over all tiles."""
        classes = len(tiles.scheme.classes)
        matrix = torch.zeros(classes, classes, dtype=torch.int64)
        for position in range(len(tiles)):
            truth = _batch(tiles, [position], self.sources).labels[0]
            matrix += confusion_matrix(truth, torch.from_numpy(self.predict(tiles, position)), classes)
        return scores(matrix, tiles.scheme.names)


def fit_forest(
    tiles: TileDataset,
    chosen: Sequence[int] | np.ndarray | None = None,
    *,
    sources: tuple[str, ...] = ("s2",),
    pixels: int = 50_000,
    trees: int = 100,
    seed: int = 0,
) -> PixelForest:
    """Fit a forest to labelled pixels with an image, of whole tiles, about as many from each.

    Args:
        tiles: Of the train split, opened by `open_tiles` with these sources, neither cropped nor moved.
        chosen: Which of them; all by default.
        sources: What it sees.
        pixels: How many in all.
        trees: Of the forest.
        seed: Of the choice of pixels and of the forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    numbers = list(range(len(tiles))) if chosen is None else [int(n) for n in chosen]
    share = -(-pixels // len(numbers))
    features, labels = [], []
    for number in numbers:
        batch = _batch(tiles, [number], sources)
        truth = batch.labels.flatten().numpy()
        known = np.flatnonzero(truth != IGNORED)
        rng = np.random.default_rng([seed, number])
        picked = rng.choice(known, size=min(share, len(known)), replace=False)
        features.append(_features(batch)[picked])
        labels.append(truth[picked])
    forest = RandomForestClassifier(n_estimators=trees, min_samples_leaf=2, random_state=seed)
    return PixelForest(forest.fit(np.concatenate(features), np.concatenate(labels)), sources)


def _batch(tiles: TileDataset, numbers: Sequence[int], sources: tuple[str, ...]) -> Batch:
    sample = collate_samples([tiles[n] for n in numbers])
    return to_device(sample, torch.device("cpu"), sources=sources, scaling=Scaling(), scheme=tiles.scheme)


def _features(batch: Batch) -> np.ndarray:
    """(pixels, channels) of a batch."""
    planes = torch.cat(list(batch.inputs.values()), dim=1)
    return np.asarray(planes.movedim(1, -1).flatten(0, 2).numpy())
