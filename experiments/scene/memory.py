"""What a scene costs in memory: the peak of the process that paints it, as the operating system counts it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

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


def measure_memory(
    run: Path, files: dict[str, Path], out: Path, *, side: int, tile: int, overlap: int = 64
) -> dict[str, Any]:
    """Paint a scene in a process of its own."""
    inputs = [part for name in ("s1", "lulc", "dem") for part in (f"--{name}", str(files[name]))]
    command = [
        sys.executable, "-m", "rsspade", "scene", "--run", str(run), *inputs, "--grid", str(files["s2"]), "--landcover-scheme", _SCHEME,
        "--tile", str(tile), "--overlap", str(overlap), "--out", str(out),
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    usage: list[Any] = []
    # wait4 reports this one child; RUSAGE_CHILDREN would be the largest of all before it.
    waiter = threading.Thread(target=lambda: usage.extend(os.wait4(process.pid, 0)))
    waiter.start()
    waiter.join()
    seconds = time.perf_counter() - start
    if usage[1] != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    peak = usage[2].ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)
    return {"side": side, "tile": tile, "overlap": overlap, "peak_mb": round(peak), "of_limit": round(peak / LIMIT_MB, 2),
            "seconds": round(seconds), "megabytes_written": round(out.stat().st_size / 1e6)}  # fmt: skip
