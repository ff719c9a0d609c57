"""What real images hold and made ones lack: taken from real training tiles, laid over made images class by class.

Shape letters: D donors, S samples, B tiles, C bands, H W pixels (H = W).

A generator that is to be near the truth paints the mean of what its sources leave open. Classes then stand further apart than in
real images, roughness is gone, and a network that learns from such images learns too easy a world. Here each image
gets the residuals (real over made, as a ratio) of other tiles, at the pixels where the classes agree: stochastic regression
imputation (Rubin 1987), with whole patches as donors, so that texture comes along; where two of them
meet within a class, the seam is blended away. What was made is calibrated first, so that what it has wrong does not add to
what is laid over it.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from rsspade.data.collate import collate_samples
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.sources import UNLABELLED
from rsspade.synthesis.calibration import Calibration
from rsspade.synthesis.seams import NOBODY, without_seams

__all__ = ["RULE", "Residuals"]

RULE = 4
"""Raised with every change after which the same donors give other images: a job begun by another rule cannot go on, and experiments
do not mix the two. 1 left classes plain that few donors hold, 2 left the seams between donors, 3 laid residuals over
images as they were made."""

DARKEST = 1e-3
"""Reflectance below which a ratio says nothing."""

TRIED = 64
"""How often a donor is laid over an image at most: the first gives all pixels where its class is the same, the next is chosen by what
is left, and so on; each time turned another way."""

Paint = Callable[[Sample], tuple[Tensor, Tensor]]
"""A collated sample -> the deterministic images (B, C, H, W), and where something was made of data (B, H, W)."""


class Residuals:
    """The residuals of some real tiles.

    Args:
        values: (D, C, H, W) logarithm of real over expected; half precision will do.
        classes: (D, H, W) uint8 class ids, `UNLABELLED` where there is no residual.
        tiles: Names of the donors.
        scenes: Of the donors.
        calibration: What is expected, where something was made; without it, what was made.
    """

    def __init__(
        self,
        values: Tensor,
        classes: Tensor,
        tiles: Sequence[str],
        scenes: Sequence[str],
        calibration: Calibration | None = None,
    ) -> None:
        self.values = values
        self.classes = classes
        self.tiles = np.array(tiles)
        self.scenes = np.array(scenes)
        self.calibration = calibration or Calibration()
        self._shares = np.stack([_shares(one) for one in classes])  # (D, 255)

    @classmethod
    def collect(
        cls, tiles: TileDataset, positions: Sequence[int], paint: Paint, bands: Sequence[int], device: torch.device
    ) -> Self:
        """Paint real tiles and compare; one at a time, so that the last bits do not depend on a batch."""
        calibration = Calibration()
        pairs, classes = list[tuple[Tensor, Tensor]](), list[Tensor]()
        for position in positions:
            sample = collate_samples([tiles[position]])
            images, where = paint(sample)
            made, real = (x.clamp(min=DARKEST).log() for x in (images[0], sample.optical[0, list(bands)].to(device)))
            usable = sample.optical_valid[0].to(device) & where[0]
            held = torch.where(usable, sample.sources["lulc"][0, 0].to(device), UNLABELLED)
            calibration.see(made, real, held)
            pairs.append((made.half(), real.half()))
            classes.append(held)
        values = [
            torch.where(held != UNLABELLED, real - calibration(made.float(), held), 0.0).half()
            for (made, real), held in zip(pairs, classes, strict=True)
        ]
        rows = [tiles.rows[n] for n in positions]
        return cls(
            torch.stack(values),
            torch.stack(classes),
            [row.tile for row in rows],
            [row.scene for row in rows],
            calibration,
        )

    def lay_over(self, image: Tensor, classes: Tensor, *, tile: str, scene: str, seed: int, sample: int) -> Tensor:
        """One more image (C, H, W) of a place: the same for the same tile, seed and sample.

        No tile lends to itself, nor to its own scene where there are others: its own residual would make it the real image.
        Pixels without a class, or of one that no donor in reach holds, stay as they are.
        """
        rng = np.random.default_rng([zlib.crc32(tile.encode()), seed, sample])
        laid, todo = torch.zeros_like(image), classes != UNLABELLED
        lent = torch.full_like(classes, NOBODY, dtype=torch.int16)
        others = self.scenes != scene
        allowed = others if others.any() else self.tiles != tile
        for patch in range(TRIED):
            donor = self._donor(torch.where(todo, classes, UNLABELLED), allowed, rng)
            if donor is None:
                break
            turn = int(rng.integers(8))
            fits = todo & (_moved(self.classes[donor], turn) == classes)
            laid = torch.where(fits, _moved(self.values[donor], turn).to(laid.dtype), laid)
            lent = torch.where(fits, patch, lent)
            todo = todo & ~fits
        laid = without_seams(laid, lent, classes)
        expected = self.calibration(image.clamp(min=DARKEST).log(), classes)
        return torch.where(lent == NOBODY, image, (expected + laid).exp())

    def _donor(self, wanted: Tensor, allowed: np.ndarray, rng: np.random.Generator) -> int | None:
        """One that holds much of the classes that are still wanted, with some luck; None where none holds any."""
        likeness = (
            np.minimum(self._shares, _shares(wanted)).sum(axis=1) * rng.uniform(0.5, 1, len(self.tiles)) * allowed
        )
        best = int(np.argmax(likeness))
        return best if likeness[best] > 0 else None


def _shares(classes: Tensor) -> np.ndarray:
    """(H, W) -> share of the pixels of each id, without those that have none."""
    counts = torch.bincount(classes.flatten().long(), minlength=256)[:UNLABELLED]
    return counts.cpu().numpy() / classes.numel()


def _moved(x: Tensor, turn: int) -> Tensor:
    """One of the eight ways to lay a square down."""
    x = torch.rot90(x, turn % 4, (-2, -1))
    return x.flip(-1) if turn >= 4 else x
