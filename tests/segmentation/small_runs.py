"""Small segmentation runs: their options, in processes of their own, and what they wrote."""

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path

from rsspade.training.state import find_checkpoints

ROOT = Path(__file__).parents[2]
SMALL = {
    "batch_size": 2, "eval_every": 100, "save_every": 100, "log_every": 1, "tracker": "none", "sample_tiles": 0,
    "network.base_width": 2, "network.depth": 3,
}  # fmt: skip


def arguments(data, out, **options):
    """A command line for a small run; `loss__dice=1` stands for `--loss.dice 1`."""
    named = SMALL | {name.replace("__", "."): value for name, value in options.items()}
    flags = [part for name, value in named.items() if value is not None for part in (f"--{name}", str(value))]
    return ["--data", str(data), "--out", str(out), *flags]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RSSPADE_CACHE": ""}


def start(data, out, **options):
    """A run in a process of its own."""
    command = [sys.executable, "-m", "segmentation.train", *arguments(data, out, **options)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(run):
    """The content of metrics.jsonl."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def same_state(one, other):
    """Whether two runs ended in the same bytes: every tensor of the last checkpoint, and both networks."""
    first, second = (find_checkpoints(run / "checkpoints")[0] for run in (one, other))
    parts = sorted(p.name for p in first.glob("*.safetensors"))
    assert parts == ["average.safetensors", "network.safetensors", "network_optimizer.safetensors"]
    pairs = [(first / name, second / name) for name in parts]
    for folder in ("model", "model_last"):
        pairs += [(one / folder / n, other / folder / n) for n in ("model.safetensors", "config.json", "README.md")]
    return all(filecmp.cmp(a, b, shallow=False) for a, b in pairs)
