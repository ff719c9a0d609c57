"""What a trained generator makes of a tile, and where it is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.torch_dataset import day_of_year
from rsspade.errors import InputError, explain
from rsspade.metrics import DISPLAY
from rsspade.metrics.images import spectral_angle
from rsspade.models import RSSpade

__all__ = ["Answer", "answer_tile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One tile as a generator paints it.

    Attributes:
        bands: Names, in the order of the images.
        image: (C, H, W) reflectance.
        truth: (C, H, W) reflectance, NaN where there is none; None for a tile without a clear image.
        error: (H, W) mean absolute difference over the bands, reflectance; NaN where there is no truth.
        angle_deg: (H, W) angle between the spectra, in the space of the scores.
    """

    bands: tuple[str, ...]
    image: np.ndarray
    truth: np.ndarray | None = None
    error: np.ndarray | None = None
    angle_deg: np.ndarray | None = None


def answer_tile(
    model: RSSpade, dataset: DatasetFolder, row: TileRow, *, sources: Sequence[str] | None = None
) -> Answer:
    """Synthesise a tile from the sources (all of the model) that the tile holds, and hold it against the truth."""
    bands = model.info.architecture.optical_bands
    given = {
        name: torch.from_numpy(dataset.read(name, row.tile))
        for name in sources or model.info.sources
        if dataset.has(name, row.tile)
    }
    if not given:
        raise InputError(
            explain(f"{dataset.path} tile {row.tile}", expected=f"at least one of {', '.join(model.info.sources)}, which the model sees",
                    found="none", fix="Choose another tile.")
        )  # fmt: skip
    if "lulc" in given:
        model.check_scheme(dataset.info.landcover_scheme, dataset.path)
    sun = dataset.sun(row.tile) if model.info.architecture.sun else None
    image = model(given, day_of_year=day_of_year(row.s2_date), sun=sun).cpu().numpy()
    held = dataset.optical_bands
    if not dataset.has("s2", row.tile) or not set(bands) <= set(held):
        return Answer(bands=bands, image=image)
    truth = dataset.read("s2", row.tile)[[held.index(band) for band in bands]]
    if truth.shape != image.shape:
        raise InputError(
            explain(f"{dataset.path} tile {row.tile}", expected=f"S2 of {image.shape[1:]} pixels, as the sources are", found=f"{truth.shape[1:]}",
                    fix="Check the dataset with `rsspade check`.")
        )  # fmt: skip
    truth = np.where(np.isfinite(truth).all(axis=0), truth, np.nan)
    pair = (DISPLAY.apply(torch.from_numpy(np.nan_to_num(each))[None]) for each in (image, truth))
    angle = np.degrees(spectral_angle(*pair)[0].numpy())
    angle[~np.isfinite(truth[0])] = np.nan
    return Answer(bands=bands, image=image, truth=truth, error=np.abs(image - truth).mean(axis=0), angle_deg=angle)
