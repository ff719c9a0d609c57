"""Scores of the averaged generator on tiles it has not seen, and pictures of some of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from rsspade.channels import Scaling, decode_optical
from rsspade.data.collate import collate_samples
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.metrics import ImageScores
from rsspade.metrics.rows import PADDING
from rsspade.training.batches import to_device

__all__ = ["KEPT_SCORES", "draw_samples", "is_better", "validate"]

KEPT_SCORES = ("psnr", "ssim", "sam_rad", "sam_deg", "mae", "rmse", "tiles", "not_finite_pixels")
SUBSET_SCORES = ("psnr", "ssim", "sam_rad")
_ALL = "all"
_LOWER_IS_BETTER = ("sam_rad",)


def is_better(score: float | None, best: float | None, *, name: str) -> bool:
    """Whether a score beats the best so far; an undefined one never does."""
    if score is None or best is None:
        return score is not None
    return score < best if name in _LOWER_IS_BETTER else score > best


@torch.no_grad()
def validate(
    model: nn.Module,
    dataset: TileDataset,
    accelerator: Accelerator,
    *,
    scaling: Scaling,
    told: Sequence[str],
    batch_size: int,
    subsets: bool = False,
) -> dict[str, Any]:
    """Score a model in eval mode on all tiles of a dataset, each process its share; every process gets the scores.

    With `subsets` each source is also scored alone, on the tiles that hold it, as `psnr[s1]` and so on.
    """
    mine = range(accelerator.process_index, len(dataset), accelerator.num_processes)
    loader = DataLoader(dataset, batch_size, sampler=list(mine), collate_fn=collate_samples)
    alone = dataset.sources if subsets and len(dataset.sources) > 1 else ()
    scores = {name: ImageScores(dataset.optical_bands) for name in (_ALL, *alone)}
    for sample in loader:
        batch = to_device(
            sample, accelerator.device, sources=dataset.sources, scaling=scaling, scheme=dataset.scheme, told=told
        )
        truth, tile = sample.optical.to(accelerator.device), sample.tile.to(accelerator.device)
        for name, own in scores.items():
            present = {n: flags & (name in (_ALL, n)) for n, flags in batch.present.items()}
            with accelerator.autocast():
                image = model(batch.conditions, present, batch.when)
            valid = batch.valid if name == _ALL else batch.valid & present[name][:, None, None]
            own.add(decode_optical(image, scaling), truth, valid=valid, tile=tile)
    found = {name: _of_all_processes(own, accelerator) for name, own in scores.items()}
    kept = {name: found[_ALL][name] for name in KEPT_SCORES}
    return kept | {f"{score}[{name}]": found[name][score] for name in alone for score in SUBSET_SCORES}


def _of_all_processes(scores: ImageScores, accelerator: Accelerator) -> dict[str, Any]:
    state = accelerator.pad_across_processes(scores.state(accelerator.device), dim=0, pad_index=PADDING)
    everyone = ImageScores(scores.bands)
    everyone.merge(accelerator.gather(state).cpu())
    return everyone.compute()


@torch.no_grad()
def draw_samples(
    path: Path,
    model: nn.Module,
    dataset: TileDataset,
    accelerator: Accelerator,
    *,
    scaling: Scaling,
    told: Sequence[str],
    tiles: int,
) -> None:
    """Write a picture: a row per tile, spread over the dataset, with what the model sees, what it makes and the truth."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, tiles).round().astype(int))
    sample = collate_samples([dataset[int(n)] for n in chosen])
    batch = to_device(
        sample, accelerator.device, sources=dataset.sources, scaling=scaling, scheme=dataset.scheme, told=told
    )
    with accelerator.autocast():
        made = decode_optical(model(batch.conditions, batch.present, batch.when), scaling).cpu().numpy()
    rows = [_panels(sample, n, made[n], dataset) for n in range(len(chosen))]
    write_bytes_atomically(path, _as_png(rows, [dataset.rows[int(n)].tile for n in chosen]))


def _panels(sample: Sample, n: int, made: np.ndarray, dataset: TileDataset) -> dict[str, np.ndarray]:
    """Title -> picture (H, W, 3) of one tile; pixels without data are grey."""
    from rsspade.report import colours

    def physical(name: str) -> np.ndarray:
        values = sample.sources[name][n].numpy()
        return values if name == "lulc" else np.where(sample.valid[name][n].numpy(), values, np.nan)

    truth = np.where(sample.optical_valid[n].numpy(), sample.optical[n].numpy(), np.nan)
    panels = {}
    for name in dataset.sources:
        if name == "lulc":
            panels["land cover"] = colours.landcover_colours(physical(name)[0], dataset.scheme)
        elif name == "s1":
            panels["radar"] = colours.radar_colours(physical(name))
        elif name == "dem":
            panels["relief"] = colours.relief_colours(physical(name))
    for title, draw in (("true colour", colours.true_colour), ("near infrared", colours.false_colour)):
        for what, image in (("made", made), ("truth", truth)):
            picture = draw(image, dataset.optical_bands)
            if picture is not None:
                panels[f"{title}, {what}"] = picture
    if not any(title.endswith("made") for title in panels):  # neither composite has its bands: the first band alone
        panels |= {"made": _grey(made[0]), "truth": _grey(truth[0])}
    return panels


def _grey(band: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.nan_to_num(band, nan=0.85) / 0.4, 0, 1)[..., None], 3, axis=-1)


def _as_png(rows: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> bytes:
    from matplotlib.figure import Figure

    from rsspade.report.figures import figure_to_png

    width = len(rows[0])
    figure = Figure(figsize=(1.8 * width, 1.8 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), width, squeeze=False)
    for n, (axes_row, panels, name) in enumerate(zip(grid, rows, names, strict=True)):
        for axes, (title, picture) in zip(axes_row, panels.items(), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if n == 0:
                axes.set_title(title, fontsize=8)
        axes_row[0].set_ylabel(name, fontsize=6)
    return figure_to_png(figure)
