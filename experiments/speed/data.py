"""What making datasets costs: worlds with one and two workers, and the memory of `prepare` on a full scene."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from experiments.cells.child import run_measured
from experiments.cells.timing import interleaved
from experiments.speed.full_scene import write_full_scene
from experiments.speed.plan import LIMIT_MB

__all__ = ["measure_prepare", "measure_world", "rsspade"]


def rsspade(*arguments: object) -> None:
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "rsspade", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


def measure_world(folder: Path, *, scenes: int, rounds: int) -> dict[str, Any]:
    """Tiles per second with one and with two workers, the start of the processes included."""

    def make(workers: int) -> None:
        shutil.rmtree(folder / "timed", ignore_errors=True)
        rsspade("world", folder / "timed", "--scenes", scenes, "--workers", workers)

    times = interleaved({str(n): partial(make, n) for n in (1, 2)}, rounds=rounds, warm_up=0)
    rates = {f"workers_{n}": scenes * 16 / times.seconds(str(n)) for n in (1, 2)}
    return {"tile": 128, "tiles_per_s": rates, "ratio": times.ratio("1", "2")}


def measure_prepare(folder: Path, *, side: int) -> dict[str, Any]:
    """Peak memory of the process that prepares one scene, all four sources, three of them resampled."""
    files = write_full_scene(folder / "scene", side)
    inputs = [a for name, path in files.items() for a in (f"--{name}", str(path))]
    command = [
        sys.executable, "-m", "rsspade", "prepare", *inputs, "--landcover-scheme", "dynamic_world", "--workers", "1",
        "--out", str(folder / "prepared"),
    ]  # fmt: skip
    seconds, peak = run_measured(command)
    shutil.rmtree(folder / "prepared")
    return {"side": side, "peak_mb": peak, "of_limit": peak / LIMIT_MB, "megapixels_per_s": side * side / 1e6 / seconds}
