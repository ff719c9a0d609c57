"""A segmentation network against the labels of a split."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from rsspade.data.collate import collate_samples
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, explain
from segmentation.labels import label_indices, seen_pixels
from segmentation.losses import IGNORED
from segmentation.metrics import confusion_matrix
from segmentation.models.checkpoint import Segmenter

__all__ = ["count_confusion", "network_inputs"]


def network_inputs(
    model: Segmenter, tiles: TileDataset, sample: Sample, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the network sees of a collated sample, its bands in its own order, and where it is valid."""
    values, valid = {}, {}
    for name, bands in model.info.bands.items():
        if name == "s2":
            values[name] = sample.optical[:, _positions(tiles, bands)].to(device)
            valid[name] = sample.optical_valid.to(device)
        else:
            values[name], valid[name] = sample.sources[name].to(device), sample.valid[name].to(device)
    return values, valid


def _positions(tiles: TileDataset, bands: tuple[str, ...]) -> list[int]:
    missing = [band for band in bands if band not in tiles.optical_bands]
    if missing:
        raise InputError(
            explain(tiles.path, expected=f"the optical bands {', '.join(bands)}, which the network sees",
                    found=", ".join(tiles.optical_bands), fix="Prepare the data with --s2-bands.")
        )  # fmt: skip
    return [tiles.optical_bands.index(band) for band in bands]


@torch.no_grad()
def count_confusion(
    model: Segmenter,
    tiles: TileDataset,
    accelerator: Accelerator,
    *,
    batch_size: int,
    seen: Callable[[int, np.ndarray], None] | None = None,
) -> Tensor:
    """Confusion matrix (K, K) over all labelled pixels that the model sees; each process takes its share, all get the sum.

    Args:
        model: In eval mode, on the device.
        tiles: Whole ones.
        accelerator: Device and processes.
        batch_size: Tiles at a time in each process; changes nothing.
        seen: Called with each tile's position and its class indices (H, W), `IGNORED` where there is no image.
    """
    classes = len(tiles.scheme.classes)
    mine = list(range(accelerator.process_index, len(tiles), accelerator.num_processes))
    matrix = torch.zeros(classes, classes, dtype=torch.int64, device=accelerator.device)
    for sample in DataLoader(tiles, batch_size, sampler=mine, collate_fn=collate_samples):
        values, valid = network_inputs(model, tiles, sample, accelerator.device)
        with accelerator.autocast():
            found = model(values, valid).argmax(dim=1)
        image = seen_pixels(valid)
        labels = label_indices(sample.sources["lulc"].to(accelerator.device), tiles.scheme, image)
        matrix += confusion_matrix(labels, found, classes)
        if seen is not None:
            for position, indices in zip(
                sample.tile.tolist(), found.masked_fill(~image, IGNORED).cpu().numpy(), strict=True
            ):
                seen(position, indices)
    total: Tensor = accelerator.reduce(matrix, reduction="sum")
    return total.cpu()
