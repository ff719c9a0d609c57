"""Tiny runs: their options, in processes of their own, and what they wrote."""

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path

from rsspade.training.state import find_checkpoints

ROOT = Path(__file__).parents[2]
TINY = {
    "batch_size": 2, "eval_every": 100, "save_every": 100, "log_every": 1, "sample_tiles": 0, "tracker": "none",
    "generator.base_width": 4, "generator.depth": 3, "generator.embedding_width": 2, "generator.full_width": 4,
    "discriminator.base_width": 4, "discriminator.layers": 2,
}  # fmt: skip

PLAIN = {"model": "pix2pix", "generator__embedding_width": None, "generator__full_width": None}
"""Another model, without the options that are rs_spade's own."""


def arguments(data, out, **options):
    """A command line for a tiny run; `loss__l1=1` stands for `--loss.l1 1`."""
    named = TINY | {name.replace("__", "."): value for name, value in options.items()}
    flags = [part for name, value in named.items() if value is not None for part in (f"--{name}", str(value))]
    return ["--data", str(data), "--out", str(out), *flags]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RSSPADE_CACHE": ""}


def start(data, out, **options):
    """A run in a process of its own."""
    command = [sys.executable, str(ROOT / "train_gan.py"), *arguments(data, out, **options)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(run):
    """The content of metrics.jsonl."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def same_state(one, other):
    """Whether two runs ended in the same bytes: every tensor of the last checkpoint, and both generators."""
    first, second = (find_checkpoints(run / "checkpoints")[0] for run in (one, other))
    parts = sorted(p.name for p in first.glob("*.safetensors"))
    assert len(parts) == 5
    same = all(filecmp.cmp(first / name, second / name, shallow=False) for name in parts)
    for folder in ("generator", "generator_last"):
        same = same and all(
            filecmp.cmp(one / folder / name, other / folder / name, shallow=False)
            for name in ("model.safetensors", "config.json", "README.md")
        )
    return same
