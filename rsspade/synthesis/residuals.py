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

RULE = 5
"""Raised with every change after which the same donors give other images: a job begun by another rule cannot go on, and experiments
do not mix the two. 1 left classes plain that few donors hold, 2 left the seams between donors, 3 laid residuals over
images as they were made, 4 laid donors down in their own place only, so that rare classes stayed plain where donors are few."""

DARKEST = 1e-3
"""Reflectance below which a ratio says nothing."""

TRIED = 64
"""How often a donor is laid over an image at most: the first gives all pixels where its class is the same, the next is chosen by what
is left, and so on; each time turned another way."""

IN_PLACE = 4
"""Of these tries, how many lay a tile over a tile; from then on it is moved, so that a pixel that has no residual yet meets one of its
class."""

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
        calibration, count = Calibration(), len(positions)
        _, height, width = tiles[positions[0]].optical.shape
        made = torch.empty((count, len(bands), height, width), dtype=torch.half, device=device)
        values, classes = torch.empty_like(made), torch.empty((count, height, width), dtype=torch.uint8, device=device)
        for n, position in enumerate(positions):
            sample = collate_samples([tiles[position]])
            images, where = paint(sample)
            given, real = (x.clamp(min=DARKEST).log() for x in (images[0], sample.optical[0, list(bands)].to(device)))
            usable = sample.optical_valid[0].to(device) & where[0]
            classes[n] = torch.where(usable, sample.sources["lulc"][0, 0].to(device), UNLABELLED)
            calibration.see(given, real, classes[n])
            made[n], values[n] = given, real
        for n, held in enumerate(classes):
            values[n] = torch.where(held != UNLABELLED, values[n] - calibration(made[n].float(), held), 0.0)
        rows = [tiles.rows[n] for n in positions]
        return cls(values, classes, [row.tile for row in rows], [row.scene for row in rows], calibration)

    def lay_over(self, image: Tensor, classes: Tensor, *, tile: str, scene: str, seed: int, sample: int) -> Tensor:
        """One more image (C, H, W) of a place: the same for the same tile, seed and sample.

        No tile lends to itself, nor to its own scene where there are others: its own residual would make it the real image.
        Pixels without a class stay as they are; those of a class that no donor in reach holds get no residual.
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
            held, values = _turned(self.classes[donor], turn), _turned(self.values[donor], turn)
            if patch >= IN_PLACE:
                way = _meeting(held, torch.where(todo, classes, UNLABELLED), rng)
                held, values = _shifted(held, way, UNLABELLED), _shifted(values, way, 0)
            fits = todo & (held == classes)
            laid = torch.where(fits, values.to(laid.dtype), laid)
            lent = torch.where(fits, patch, lent)
            todo = todo & ~fits
        laid = without_seams(laid, lent, classes)
        expected = self.calibration(image.clamp(min=DARKEST).log(), classes)
        return torch.where(classes == UNLABELLED, image, (expected + laid).exp())

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


def _turned(x: Tensor, turn: int) -> Tensor:
    """One of the eight ways to lay a square down."""
    x = torch.rot90(x, turn % 4, (-2, -1))
    return x.flip(-1) if turn >= 4 else x


def _meeting(held: Tensor, wanted: Tensor, rng: np.random.Generator) -> tuple[int, int]:
    """How to move a donor's classes (H, W), so that one of its pixels meets one of its class that is wanted; they share a class."""
    there = torch.zeros(256, dtype=torch.bool, device=held.device)
    there[held[held != UNLABELLED].long()] = True
    place = _any_pixel(there[wanted.long()], rng)
    own = _any_pixel(held == wanted[place], rng)
    return place[0] - own[0], place[1] - own[1]


def _any_pixel(mask: Tensor, rng: np.random.Generator) -> tuple[int, int]:
    row, column = torch.nonzero(mask)[int(rng.integers(int(mask.sum())))].tolist()
    return row, column


def _shifted(x: Tensor, way: tuple[int, int], empty: float) -> Tensor:
    """Moved (down, right) within its frame; what comes in from outside is empty."""
    (height, width), (down, right) = x.shape[-2:], way
    moved = torch.full_like(x, empty)
    moved[..., max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = x[
        ..., max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved
