"""Pictures on the way: what a network draws of some validation tiles, beside the truth."""

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from rsspade.data.collate import collate_samples
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.torch_dataset import TileDataset
from rsspade.sources import UNLABELLED
from segmentation.evaluation import network_inputs
from segmentation.labels import seen_pixels
from segmentation.models.checkpoint import Segmenter

__all__ = ["draw_samples"]


@torch.no_grad()
def draw_samples(path: Path, model: Segmenter, dataset: TileDataset, accelerator: Accelerator, *, tiles: int) -> None:
    """Write a picture: a row per tile, spread over the dataset, with image, labels, map, and where the map is wrong."""
    from rsspade.report.panels import Line, Panel, figure_to_png, panel_figure

    chosen = np.unique(np.linspace(0, len(dataset) - 1, tiles).round().astype(int))
    lines: list[Line] = []
    for number in map(int, chosen):  # one by one: whole tiles of a batch may be more than a batch of crops
        sample = collate_samples([dataset[number]])
        values, valid = network_inputs(model, dataset, sample, accelerator.device)
        with accelerator.autocast():
            ids = model.classify(values, valid).masked_fill(~seen_pixels(valid), UNLABELLED)
        found, labels = ids[0].cpu().numpy(), sample.sources["lulc"][0, 0].numpy()
        image = np.where(sample.optical_valid[0].numpy(), sample.optical[0].numpy(), np.nan)
        pictures = _pictures(image, labels, found, dataset)
        panels = [Panel(title=title, picture=picture) for title, picture in pictures.items()]
        lines.append(Line(panels=panels, heading=dataset.rows[number].tile, with_titles=not lines))
    legend = {c.name.replace("_", " "): c.colour for c in dataset.scheme.classes}
    write_bytes_atomically(path, figure_to_png(panel_figure(lines, legend=legend)))


def _pictures(image: np.ndarray, labels: np.ndarray, found: np.ndarray, dataset: TileDataset) -> dict[str, np.ndarray]:
    """Title -> picture (H, W, 3) of one tile; pixels without data or label are grey."""
    from rsspade.report import colours

    true = colours.true_colour(image, dataset.optical_bands)
    if true is None:  # not its bands: the first one alone
        true = np.repeat(np.clip(np.nan_to_num(image[0], nan=0.85) / 0.4, 0, 1)[..., None], 3, axis=-1)
    unknown = (labels == UNLABELLED) | (found == UNLABELLED)
    right = np.where(unknown, np.nan, (labels == found).astype(np.float64))
    return {
        "image": true,
        "labels": colours.landcover_colours(labels, dataset.scheme),
        "map": colours.landcover_colours(found, dataset.scheme),
        "wrong": colours.right_colours(right),
    }
