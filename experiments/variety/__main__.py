"""`python -m experiments.variety`: three sources of variety, trained alike, and what their draws are worth."""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from experiments.cells.machine import commit, machine
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

PRESETS = {
    "toy": {"scenes": 3, "num_steps": 2, "crop": 64, "width": 4, "seeds": 1},
    "cpu": {"scenes": 8, "num_steps": 300, "crop": 64, "width": 8, "seeds": 1},
}
SAMPLES = 8


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
    image, *drawn = trained.network(batch.conditions, batch.present, None, noise)
    return image, (image[:, None] + residuals_of_samples(*drawn, range(SAMPLES))).movedim(1, 0)


def score(trained: Trained, tiles: TileDataset) -> dict[str, float | None]:
    """The scores of all arms on all tiles of a split."""
    of_image, of_mean, of_one, of_all = *(ImageScores(tiles.optical_bands) for _ in range(3)), SampleScores()
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


def main() -> int:
    """Train and score every arm with every seed."""
    parser = argparse.ArgumentParser(prog="python -m experiments.variety", description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of results.json (%(default)s)")
    options = parser.parse_args()
    preset, rows = PRESETS[options.preset], []
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        if rsspade(["world", str(world), "--scenes", str(preset["scenes"]), "--tile-size", "128", "--seed", "1"]) != 0:
            return 1
        data = DatasetFolder.open(world)
        tiles = TileDataset(data, split="test", sources=("s1", "lulc", "dem"), random_crops=False)
        kept = {name: value for name, value in preset.items() if name in ("num_steps", "crop", "width")}
        for seed in range(preset["seeds"]):
            for arm in ARMS:
                began = time.process_time()
                trained = train(arm, data, seed=seed, **kept)
                seconds = time.process_time() - began
                rows.append({"arm": arm, "seed": seed, "cpu_seconds": round(seconds, 1), **score(trained, tiles)})
                shown = ", ".join(f"{k} {v:.3f}" for k, v in rows[-1].items() if isinstance(v, float))
                print(f"{arm}, seed {seed}: {shown}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    made = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "commit": commit()}
    content = {**made, "preset": options.preset, **preset, "samples": SAMPLES, "rows": rows}
    (options.out / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"Wrote {options.out / 'results.json'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
