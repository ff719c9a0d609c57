"""The options of the random forest that a segmentation network must beat; the forest itself is `segmentation.baselines`."""

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["ForestConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ForestConfig:
    """A fit.

    Attributes:
        data: The dataset folder.
        out: Nothing is written there.
        labels: Share of the training tiles, chosen as `segmentation.train --labels` does with the seed.
        pixels: That it is fitted to.
        trees: Of the forest.
        seed: Of pixels, trees and tiles.
    """

    same_run: ClassVar[frozenset[str]] = frozenset({"data", "out"})

    data: str
    out: str
    labels: float = 1.0
    pixels: int = 50_000
    trees: int = 100
    seed: int = 0
