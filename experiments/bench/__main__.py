"""`make bench`: worlds made with one and two workers, packed reading against GeoTIFFs, memory of `prepare`, the models.

Figures are ratios within one run, alternating where two things are compared. `--part data` or `--part models` runs a
half of it, `--quick` takes a small scene and small tiles instead of full ones; `--json FILE` keeps the numbers.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from experiments.bench.full_scene import write_full_scene
from rsspade.data.manifest import DatasetFolder
from rsspade.data.reading_speed import measure_reading

LIMIT_MB = 2000


def rsspade(*arguments: object) -> None:
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "rsspade", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


def bench_world(folder: Path, scenes: int, rounds: int) -> dict[str, float]:
    """Tiles per second with one and with two workers, the start of the processes included."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for workers in rates:
            out = folder / f"world-{number}-{workers}"
            start = time.perf_counter()
            rsspade("world", out, "--scenes", scenes, "--workers", workers)
            rates[workers].append(scenes * 16 / (time.perf_counter() - start))
    one, two = (statistics.median(rates[w]) for w in (1, 2))
    ratio = statistics.median(b / a for a, b in zip(rates[1], rates[2], strict=True))
    print(f"world     1 worker {one:.1f} tiles/s, 2 workers {two:.1f} tiles/s: ratio {ratio:.2f}")
    return {"one_worker_tiles_per_s": one, "two_workers_tiles_per_s": two, "ratio": ratio}


def bench_reading(dataset: Path) -> dict[str, float]:
    """Samples of the packed copy against the same tiles read with rasterio."""
    speed = measure_reading(DatasetFolder.open(dataset))
    print(
        f"reading   packed {speed.packed:.0f} tiles/s, GeoTIFF {speed.geotiff:.0f} tiles/s: ratio {speed.ratio:.1f} (wanted: at least 10)"
    )
    return {"packed_tiles_per_s": speed.packed, "geotiff_tiles_per_s": speed.geotiff, "ratio": speed.ratio}


def bench_prepare(folder: Path, side: int) -> dict[str, float]:
    """Peak memory of the process that prepares one scene, all four sources, three of them resampled."""
    files = write_full_scene(folder / "scene", side)
    inputs = [a for name, path in files.items() for a in (f"--{name}", str(path))]
    command = [
        sys.executable, "-m", "rsspade", "prepare", *inputs, "--landcover-scheme", "dynamic_world", "--workers", "1",
        "--out", str(folder / "prepared"),
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    usage: list[Any] = []
    # wait4 reports this one child; RUSAGE_CHILDREN would be the largest of all before it.
    waiter = threading.Thread(target=lambda: usage.extend(os.wait4(process.pid, 0)))
    waiter.start()
    waiter.join()
    seconds = time.perf_counter() - start
    if usage[1] != 0:
        raise SystemExit("prepare failed")
    peak = usage[2].ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)
    megapixels = side * side / 1e6
    print(
        f"prepare   {side}×{side} px: peak {peak:.0f} MB, ratio to the limit of {LIMIT_MB} MB {peak / LIMIT_MB:.2f}; {megapixels / seconds:.2f} Mpx/s"
    )
    shutil.rmtree(folder / "prepared")
    return {"side": side, "peak_mb": peak, "of_limit": peak / LIMIT_MB, "megapixels_per_s": megapixels / seconds}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description=__doc__)
    parser.add_argument("--part", choices=("data", "models"), help="one half (both)")
    parser.add_argument(
        "--quick", action="store_true", help="a scene of 2048 px, not 10980; tiles of 128, not 256; fewer rounds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the numbers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
        }  # fmt: skip
        if options.part != "models":
            results["world"] = bench_world(folder, 6 if options.quick else 12, 1 if options.quick else 3)
            results["reading"] = bench_reading(folder / "world-0-1")
            results["prepare"] = bench_prepare(folder, 2048 if options.quick else 10_980)
        if options.part != "data":
            from experiments.bench.models import bench_models

            rsspade("world", folder / "models", "--scenes", 4, "--tile-size", 128 if options.quick else 256)
            results["models"] = bench_models(folder / "models")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        print(options.json)


if __name__ == "__main__":
    main()
