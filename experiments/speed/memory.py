"""How much memory a model takes, in a process of its own: on a GPU what its tensors take, else what the process takes.

python -m experiments.speed.memory DATASET training|inference BATCH [NAME=VALUE ..]   prints megabytes
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from experiments.speed.models import WORK, Painter, Trainer, best_device, training_config
from experiments.speed.plan import Preset
from rsspade.training.parts import Data

__all__ = ["measure_memory", "peak_memory"]


def measure_memory(data: Path, preset: Preset) -> dict[str, Any]:
    """Megabytes of each model beyond Python, its libraries and the data, and times that of rs_spade."""
    megabytes = {
        what: {name: peak_memory(data, own, what, batch=preset.batch) for name, own in preset.models.items()}
        for what in WORK
    }
    ratios = {
        what: {name: own["rs_spade"] / max(mb, 1e-9) for name, mb in own.items() if name != "rs_spade"}
        for what, own in megabytes.items()
    }
    return {"tile": preset.tile, "batch": preset.batch, "megabytes": megabytes, "ratios": ratios}


def peak_memory(data: Path, options: Mapping[str, Any], what: str, *, batch: int = 1) -> float:
    """Megabytes that training or inference takes beyond Python, its libraries and the data."""
    words = [f"{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "experiments.speed.memory", str(data), what, str(batch), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return float(done.stdout)


def _peak() -> float:
    """Megabytes that this process has held at most."""
    if best_device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 1024**2
    status = Path("/proc/self/status")
    if status.is_file():  # Linux hands ru_maxrss on from the process that started this one
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print the memory that one model takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("what", choices=WORK)
    parser.add_argument("batch", type=int)
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = dict(word.split("=", 1) for word in asked.options)
        config = training_config(asked.data, Path(folder), own, batch=asked.batch)
        data = Data(config, best_device())
        before = _peak()
        call = Trainer(config, data) if asked.what == "training" else Painter(config, data, batch=asked.batch)
        for _ in range(2):
            call()
        print(_peak() - before)


if __name__ == "__main__":
    main()
