"""What a filled cloud is worth: the built-in world with clouds, scored against the clear truth under them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch

from rsspade.baselines import class_means
from rsspade.cli import main as rsspade
from rsspade.data.geotiff import read_tile
from rsspade.data.manifest import DatasetFolder


def measure_filling(run: Path, trained_on: Path, clouded: Path, folder: Path) -> dict[str, Any]:
    """Fill every tile of a clouded dataset with the command.

    Args:
        run: The generator.
        trained_on: Its dataset, for the class means.
        clouded: A dataset with `S2`, `S2_CLOUDY` and `CLOUD`, each tile of which counts as a scene.
        folder: For the results.

    Returns:
        Root mean squared errors under the clouds, in reflectance clipped to 0 … 0.4, and clear pixels that differ.
    """
    means = class_means(DatasetFolder.open(trained_on))
    rows: dict[str, dict[str, float]] = {}
    changed = 0
    for path in sorted((clouded / "S2_CLOUDY").glob("*.tif")):
        name = path.name
        sources = [
            part
            for key, where in (("s1", "S1"), ("lulc", "LULC"), ("dem", "DEM"))
            for part in (f"--{key}", str(clouded / where / name))
        ]
        common = ["scene", "--run", str(run), *sources, "--landcover-scheme", "dynamic_world"]
        mask_path = clouded / "CLOUD" / name
        _run([*common, "--out", str(folder / f"plain-{name}")])
        _run([*common, "--fill", str(path), "--mask", str(mask_path), "--out", str(folder / f"filled-{name}")])
        truth, cloudy = (read_tile(clouded / where / name) for where in ("S2", "S2_CLOUDY"))
        gap = read_tile(mask_path)[0] != 0
        ids = torch.from_numpy(read_tile(clouded / "LULC" / name))[None]
        guesses = {
            "class_mean": means.image(ids)[0].numpy(),
            "plain": read_tile(folder / f"plain-{name}"),
            "filled": read_tile(folder / f"filled-{name}"),
        }
        rows[name.removesuffix(".tif")] = {"gap": float(gap.mean())} | {
            key: _error(guess[:, gap], truth[:, gap]) for key, guess in guesses.items()
        }
        with rasterio.open(folder / f"filled-{name}") as made:
            wanted = np.rint(np.clip(cloudy.astype(np.float64) / 1e-4, 0, 65534)).astype(np.uint16)
            changed += int((made.read()[:, ~gap] != wanted[:, ~gap]).sum())
    overall = {
        key: float(np.mean([row[key] for row in rows.values()])) for key in ("gap", "class_mean", "plain", "filled")
    }
    passes = changed == 0 and overall["filled"] < min(overall["plain"], overall["class_mean"])
    return {"tiles": rows, "mean": overall, "clear_pixels_changed": changed, "passes": passes}


def _run(arguments: list[str]) -> None:
    if rsspade(arguments) != 0:
        raise SystemExit(f"rsspade {' '.join(arguments)} failed")


def _error(guess: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.clip(guess, 0, 0.4) - np.clip(truth, 0, 0.4)) ** 2)))
