"""The worker of one cell: `python -m experiments.cells OUT KEY --question SPLIT SOURCES ..`; the runner starts it."""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from filelock import FileLock

from experiments.cells.cell import Cell, Question, Record, World, effective
from experiments.cells.runner import Workshop
from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import evaluate
from rsspade.models import RSSpade
from rsspade.training.loop import train

KEPT = (
    "psnr", "ssim", "sam_rad", "mae", "rmse", "ergas", "reflectance", "per_band", "per_class", "clipped", "tiles",
    "split_sha256",
)  # fmt: skip
"""What is kept of an evaluation."""


def machine() -> str:
    """In words that say enough to compare times."""
    return f"{os.cpu_count()} cores, {platform.machine()}"


def commit() -> str:
    """Of the code, or nothing outside a checkout."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def train_cell(cell: Cell, data: Path, folder: Path) -> Record:
    """Train, or go on training."""
    config = cell.config(data, folder / "run")
    # The last weights are what counts; validating on the way would choose among them by luck.
    config = dataclasses.replace(config, eval_every=config.steps, save_every=min(config.save_every, config.steps))
    start = time.perf_counter()
    code = train(config)
    if code != 0:
        raise SystemExit(code)
    shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)  # the weights stay
    model = RSSpade.from_pretrained(folder / "run" / "generator")
    return Record(
        world=dataclasses.asdict(cell.world),
        options=dict(cell.options),
        config=effective(config),
        parameters=sum(p.numel() for p in model.network.parameters()),
        machine=machine(),
        date=time.strftime("%Y-%m-%d"),
        commit=commit(),
        seconds=round(time.perf_counter() - start, 1),
    )


def score_cell(record: Record, data: Path, folder: Path, questions: Sequence[Question]) -> Record:
    """Answer the questions that the record does not answer yet."""
    model = RSSpade.from_pretrained(folder / "run" / "generator")
    dataset, accelerator = DatasetFolder.open(data), Accelerator(cpu=True)
    scores: dict[str, Any] = dict(record.scores)
    for question in questions:
        if str(question) not in scores:
            found = evaluate(model, dataset, accelerator, split=question.split, sources=question.sources)
            scores[str(question)] = {name: found.summary[name] for name in KEPT if name in found.summary}
    return dataclasses.replace(record, scores=scores)


def main() -> int:
    """One cell from its `cell.json` to its `record.json`."""
    parser = argparse.ArgumentParser(prog="python -m experiments.cells", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("key")
    parser.add_argument("--question", nargs=2, action="append", metavar=("SPLIT", "SOURCES"), default=[])
    options = parser.parse_args()
    folder = options.out / "cells" / options.key
    asked = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    cell = Cell(World(**asked["world"]), asked["options"])
    questions = [Question(split, tuple(sources.split(","))) for split, sources in options.question]
    data = Workshop(options.out).dataset(cell.world)
    with FileLock(folder / "lock"):
        path = folder / "record.json"
        if path.is_file() and (folder / "run" / "generator").is_dir():
            record = Record.read(path)
        else:
            record = train_cell(cell, data, folder)
        score_cell(record, data, folder, questions).write(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
