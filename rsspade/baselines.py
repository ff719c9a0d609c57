"""Answers that need no network: what a table of scores is read against.

The class-mean image paints every pixel with the mean training spectrum of its land-cover class: a generator that does
not beat it has learned nothing beyond a colour table. The copy of the input hands back the clouded image: what doing
nothing is worth. The oracle of a built-in world is the other end: nothing that sees the sources alone can beat it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rsspade.data.manifest import DatasetFolder
from rsspade.data.readers.base import TileReader
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, explain
from rsspade.progress import progress_bar
from rsspade.sources import UNLABELLED

__all__ = ["ClassMeans", "Prediction", "class_means", "copy_of_input", "oracle_answer"]


class Prediction(NamedTuple):
    """A batch of answers.

    Attributes:
        image: (B, C, H, W) reflectance.
        valid: (B, H, W) bool: where there is both an answer and a truth to score it against.
    """

    image: Tensor
    valid: Tensor


@dataclass(frozen=True, slots=True)
class ClassMeans:
    """The mean spectrum of each land-cover class in the train split.

    Attributes:
        spectra: (256, C) reflectance, a row per class id. Unlabelled pixels, and classes that the train split does
            not hold, get the mean of all its clear pixels, labelled or not.
        pixels: (256,) int64, how many pixels each mean stands on; 0 where the mean of all stands in.
    """

    spectra: Tensor
    pixels: Tensor

    def predict(self, batch: Sample) -> Prediction:
        """The class-mean image of a collated batch that holds land cover."""
        return Prediction(self.image(batch.sources["lulc"]), batch.optical_valid)

    def image(self, landcover: Tensor) -> Tensor:
        """Class ids (B, 1, H, W) uint8 -> reflectance (B, C, H, W)."""
        if landcover.ndim != 4 or landcover.shape[1] != 1 or landcover.dtype != torch.uint8:
            raise ValueError(f"expected ids uint8 (B, 1, H, W), found {landcover.dtype} {tuple(landcover.shape)}")
        return self.spectra.to(landcover.device)[landcover[:, 0].long()].movedim(-1, 1)


def class_means(reader: TileReader, *, cache: Path | None = None) -> ClassMeans:
    """Mean spectrum per class over the clear, labelled pixels of the train split; whole tiles, as they are stored.

    Args:
        reader: A `DatasetFolder` or the reader of a public dataset.
        cache: Where the packed copy lies, if not in its usual place.
    """
    dataset = TileDataset(reader, split="train", sources=["lulc"], cache=cache)
    bands = len(dataset.optical_bands)
    sums = torch.zeros(UNLABELLED + 1, bands, dtype=torch.float64)  # float32 sums would drift over many tiles
    pixels = torch.zeros(UNLABELLED + 1, dtype=torch.int64)
    with progress_bar(total=len(dataset), title="class means") as bar:
        for number in range(len(dataset)):
            sample = dataset[number]
            ids = sample.sources["lulc"][0][sample.optical_valid].long()
            sums.index_add_(0, ids, sample.optical[:, sample.optical_valid].T.double())
            pixels += torch.bincount(ids, minlength=UNLABELLED + 1)
            bar.update()
    overall = sums.sum(dim=0) / pixels.sum()  # not 0: the dataset holds tiles with a clear pixel only
    sums[UNLABELLED], pixels[UNLABELLED] = 0, 0
    seen = pixels > 0
    if not seen.any():
        raise InputError(
            explain(reader.path, expected="labelled pixels under clear sky in the train split", found="none",
                    fix="Check the land cover with `rsspade check`.")
        )  # fmt: skip
    spectra = torch.where(seen[:, None], sums / pixels.clamp(min=1)[:, None], overall)
    return ClassMeans(spectra.float(), pixels)


def copy_of_input(batch: Sample) -> Prediction:
    """The clouded image of a collated batch as the answer; a tile without one has no valid pixel and is not scored."""
    if not batch.cloudy:
        raise ValueError("expected a dataset opened with with_cloudy=True, found samples without clouded images")
    return Prediction(batch.cloudy["image"], batch.optical_valid & batch.cloudy["valid"])


def oracle_answer(dataset: DatasetFolder, names: Sequence[str], batch: Sample) -> Prediction:
    """The oracle of a collated batch of whole tiles, read from their files; without one a tile is not scored.

    Args:
        dataset: A built-in world with `--oracle`.
        names: Of the tiles in the batch.
        batch: The truth.
    """
    image = np.full(batch.optical.shape, np.nan, np.float32)
    for n, name in enumerate(names):
        if not dataset.has("oracle", name):
            continue
        values = dataset.read("oracle", name)
        if values.shape != image[n].shape:
            raise InputError(
                explain(dataset.tile_path("oracle", name), expected=f"{image[n].shape} bands, rows and columns, as S2 has",
                        found=str(values.shape), fix="Make the world again.")
            )  # fmt: skip
        image[n] = values
    known = torch.from_numpy(np.isfinite(image).all(axis=1))
    return Prediction(torch.from_numpy(image), batch.optical_valid & known)
