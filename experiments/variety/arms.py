"""Three sources of variety, trained alike, and what their draws are worth."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from experiments.variety.training import ARMS, NOISE_CHANNELS, Trained, add_noise, train
from rsspade.channels import Scaling, decode_optical
from rsspade.cli import main as rsspade
from rsspade.data.collate import collate_samples
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import TileDataset
from rsspade.metrics import ImageScores, SampleScores
from rsspade.models.noise import NoiseField
from rsspade.models.variety import Noise, fields_of_samples, noise_of_field, residuals_of_samples
from rsspade.training.batches import to_device

__all__ = ["SAMPLES", "Size", "compare_arms"]

SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of the comparison: scenes of the built-in world, steps and crops of a training, base width of the network, seeds."""

    scenes: int
    steps: int
    crop: int
    width: int
    seeds: int


def compare_arms(size: Size) -> list[dict[str, Any]]:
    """Train and score every arm with every seed: a row each."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        if rsspade(["world", str(world), "--scenes", f"{size.scenes}", "--tile-size", "128", "--seed", "1"]) != 0:
            raise SystemExit(1)
        data = DatasetFolder.open(world)
        tiles = TileDataset(data, split="test", sources=("s1", "lulc", "dem"), random_crops=False)
        for seed in range(size.seeds):
            for arm in ARMS:
                began = time.process_time()
                trained = train(arm, world, num_steps=size.steps, crop=size.crop, width=size.width, seed=seed)
                seconds = time.process_time() - began
                rows.append({"arm": arm, "seed": seed, "cpu_seconds": round(seconds, 1), **score(trained, tiles)})
                shown = ", ".join(f"{k} {v:.3f}" for k, v in rows[-1].items() if isinstance(v, float))
                print(f"{arm}, seed {seed}: {shown}", flush=True)
    return rows


@torch.no_grad()
def draw(trained: Trained, tiles: TileDataset, sample: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    """The image without noise (B, C, H, W) and draws (S, B, C, H, W), in channels."""
    batch = to_device(sample, torch.device("cpu"), sources=tiles.sources, scaling=Scaling(), scheme=tiles.scheme)
    noise_is_input = trained.config.variety_width == 0
    names, size = [tiles.rows[n].tile for n in sample.tile.tolist()], (batch.valid.shape[-2], batch.valid.shape[-1])
    numbers = range(SAMPLES) if noise_is_input else fields_of_samples(range(SAMPLES))
    fields = [[NoiseField(0, name=name, number=n) for name in names] for n in numbers]
    if noise_is_input:
        windows = [
            torch.stack([torch.from_numpy(f.window(0, 0, 0, *size, NOISE_CHANNELS)) for f in own]) for own in fields
        ]
        makings = [add_noise(batch, noise) for noise in (torch.zeros_like(windows[0]), *windows)]
        image, *draws = (trained.network(b.conditions, b.present) for b in makings)
        return image, torch.stack(draws)
    depth = trained.config.depth
    noise = Noise([torch.stack([noise_of_field(f, (0, 0), size, depth) for f in own]) for own in fields], size)
    image, residuals, variance = trained.network(batch.conditions, batch.present, None, noise)
    return image, (image[:, None] + residuals_of_samples(residuals, variance, range(SAMPLES))).movedim(1, 0)


def score(trained: Trained, tiles: TileDataset) -> dict[str, float | None]:
    """The scores of all arms on all tiles of a split."""
    of_image, of_mean, of_one, of_all = (
        *(ImageScores(tiles.optical_bands) for _ in range(3)),
        SampleScores(balanced=trained.config.variety_width > 0),
    )
    for sample in DataLoader(tiles, 8, collate_fn=collate_samples):
        image, draws = (decode_optical(x, Scaling()) for x in draw(trained, tiles, sample))
        where = {"valid": sample.optical_valid, "tile": sample.tile}
        for scores, made in ((of_image, image), (of_mean, draws.mean(dim=0)), (of_one, draws[0])):
            scores.add(made, sample.optical, **where)
        of_all.add(draws, sample.optical, **where)
    drawn = of_all.compute()
    one = of_one.compute()
    found = {"psnr": of_image.compute()["psnr"], "psnr_of_mean": of_mean.compute()["psnr"], "psnr_of_one": one["psnr"]}
    wanted = ("pairwise_distance", "spread_rmse_ratio", "rank_correlation")
    return (
        found | {"ssim_of_one": one["ssim"], "sam_deg_of_one": one["sam_deg"]} | {name: drawn[name] for name in wanted}
    )
