"""What a scene costs in memory: the peak of the process that paints it, as the operating system counts it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from experiments.cells.child import run_measured
from rsspade.channels import num_channels
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator

LIMIT_MB = 2000
_SCHEME = "dynamic_world"


def write_generator(folder: Path, **options: Any) -> Path:  # noqa: ANN401 (options of the architecture)
    """An untrained generator: what it paints means nothing, what it costs does."""
    sources = {name: num_channels(name, scheme=scheme_named(_SCHEME)) for name in ("s1", "lulc", "dem")}
    architecture = GeneratorConfig(sources=sources, optical_bands=("blue", "green", "red", "nir"), **options)
    info = GeneratorInfo(architecture=architecture, landcover_scheme=_SCHEME, pixel_size_m=10.0)
    RSSpade(build_generator(architecture), info).save_pretrained(folder)
    return folder


def write_mask(image: Path, path: Path) -> Path:
    """A mask on the pixels of an image: round clouds, large and small, over about a third of it."""
    block = gaussian_filter(np.random.default_rng(1).normal(size=(1024, 1024)), 40, mode="wrap")
    clouded = (block > np.quantile(block, 0.67)).astype(np.uint8)
    with rasterio.open(image) as like:
        profile = {**like.profile, "count": 1, "dtype": "uint8", "nodata": None}
        with rasterio.open(path, "w", **profile) as out:
            for row in range(0, like.height, 1024):
                for column in range(0, like.width, 1024):
                    height, width = min(1024, like.height - row), min(1024, like.width - column)
                    out.write(clouded[:height, :width], 1, window=Window(column, row, width, height))
    return path


def measure_memory(
    run: Path, files: dict[str, Path], out: Path, *, side: int, tile: int, overlap: int = 64, mask: Path | None = None
) -> dict[str, Any]:
    """Paint a scene in a process of its own; with a mask, fill what it names of the optical image."""
    inputs = [part for name in ("s1", "lulc", "dem") for part in (f"--{name}", str(files[name]))]
    grid = ["--grid", str(files["s2"])] if mask is None else ["--fill", str(files["s2"]), "--mask", str(mask)]
    command = [
        sys.executable, "-m", "rsspade", "scene", "--run", str(run), *inputs, *grid, "--landcover-scheme", _SCHEME,
        "--tile", str(tile), "--overlap", str(overlap), "--out", str(out),
    ]  # fmt: skip
    seconds, peak = run_measured(command)
    return {"side": side, "tile": tile, "overlap": overlap, "peak_mb": round(peak), "of_limit": round(peak / LIMIT_MB, 2),
            "seconds": round(seconds), "megabytes_written": round(out.stat().st_size / 1e6)}  # fmt: skip
