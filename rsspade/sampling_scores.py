"""The draws of a generator against the truth of a split: do they differ, by the right amount, in the right places?"""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from rsspade.data.collate import collate_samples
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import ConfigError, explain
from rsspade.metrics import ImageScores, SampleScores
from rsspade.metrics.rows import gathered_state
from rsspade.models import RSSpade
from rsspade.progress import progress_bar

__all__ = ["SHOWN", "check_samples", "score_samples"]

SHOWN = {
    "psnr_of_mean": "PSNR of their mean", "psnr_of_one": "PSNR of one", "pairwise_distance": "distance of two",
    "spread_rmse_ratio": "spread over error", "rank_correlation": "rank correlation of both",
    "tile_rank_correlation": "of tiles",
}  # fmt: skip
"""The scores that the table shows, and how it calls them."""

_SEED = 0


def check_samples(samples: int) -> None:
    """Refuse a number that cannot be drawn."""
    if samples < 1:
        raise ConfigError(explain("--samples", expected="at least 1", found=str(samples), fix="Correct the value."))


def score_samples(
    model: RSSpade,
    tiles: TileDataset,
    accelerator: Accelerator,
    *,
    samples: int,
    sources: Sequence[str],
    bands: Sequence[int],
    batch_size: int,
) -> dict[str, Any]:
    """Score several draws for each tile; each process takes its share, all get the scores.

    The draws are those of `rsspade generate --seed 0`.

    Args:
        model: The generator, with variety.
        tiles: With the sources and the truth.
        accelerator: Device and processes.
        samples: Draws per tile, two or more.
        sources: What the model may see.
        bands: Of the truth, in the model's order.
        batch_size: Tiles at a time.
    """
    names = model.info.architecture.optical_bands
    of_mean, of_one, of_all = ImageScores(names), ImageScores(names), SampleScores(balanced=True)
    mine = list(range(accelerator.process_index, len(tiles), accelerator.num_processes))
    with progress_bar(total=len(mine), title="samples") as bar:
        for sample in DataLoader(tiles, batch_size, sampler=mine, collate_fn=collate_samples):
            draws = _draw(model, sample, [tiles.rows[n].tile for n in sample.tile.tolist()], samples, sources)
            tile = sample.tile.to(draws.device)
            truth, valid = sample.optical[:, bands].to(draws.device), sample.optical_valid.to(draws.device)
            of_mean.add(draws.mean(dim=0), truth, valid=valid, tile=tile)
            of_all.add(draws, truth, valid=valid, tile=tile)
            for n, draw in enumerate(draws):  # a row for each draw of each tile
                of_one.add(draw, truth, valid=valid, tile=tile * samples + n)
            bar.update(len(sample.tile))
    total, total_mean, total_one = SampleScores(balanced=True), ImageScores(names), ImageScores(names)
    for own, everyone in ((of_all, total), (of_mean, total_mean), (of_one, total_one)):
        everyone.merge(gathered_state(own, accelerator))
    psnr = {"psnr_of_mean": total_mean.compute()["psnr"], "psnr_of_one": total_one.compute()["psnr"]}
    return {"samples": samples, "seed": _SEED, **psnr, **total.compute()}


@torch.no_grad()
def _draw(model: RSSpade, sample: Sample, names: Sequence[str], samples: int, sources: Sequence[str]) -> Tensor:
    """Reflectance (S, B, C, H, W)."""
    device = next(model.parameters()).device
    _, draws = model.draw(
        {name: sample.sources[name].to(device) for name in sources},
        samples=range(samples), names=names, origins=[(0, 0)] * len(names), seed=_SEED,
        valid={name: sample.valid[name].to(device) for name in sources}, day_of_year=sample.day_of_year, sun=sample.sun,
    )  # fmt: skip
    return draws.movedim(1, 0)
