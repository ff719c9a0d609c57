"""The work on one cell: train it, score it, keep the record."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from filelock import FileLock

from experiments.cells.cell import Cell, Question, Record, World, effective
from experiments.cells.machine import commit, machine
from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import evaluate
from rsspade.models import RSSpade
from rsspade.training.loop import train

__all__ = ["work_on"]

KEPT = (
    "psnr", "ssim", "sam_rad", "mae", "rmse", "ergas", "reflectance", "per_band", "per_class", "clipped", "tiles",
    "split_sha256",
)  # fmt: skip
"""What is kept of an evaluation."""


def work_on(cell: Cell, folder: Path, questions: Sequence[Question], dataset_of: Callable[[World], Path]) -> None:
    """One cell to its `record.json`; only what is not there yet is done, by one process at a time."""
    data = dataset_of(cell.world)
    with FileLock(folder / "lock"):
        path = folder / "record.json"
        if path.is_file() and (folder / "run" / "generator").is_dir():
            record = Record.read(path)
        else:
            record = _train(cell, data, folder)
        _score(record, folder, questions, dataset_of).write(path)


def _train(cell: Cell, data: Path, folder: Path) -> Record:
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


def _score(record: Record, folder: Path, questions: Sequence[Question], dataset_of: Callable[[World], Path]) -> Record:
    """Answer the questions that the record does not answer yet."""
    model = RSSpade.from_pretrained(folder / "run" / "generator")
    accelerator = Accelerator(cpu=True)
    scores: dict[str, Any] = dict(record.scores)
    for question in questions:
        if str(question) not in scores:
            dataset = DatasetFolder.open(dataset_of(question.world or record.cell.world))
            found = evaluate(
                model, dataset, accelerator, split=question.split, sources=question.sources, with_baselines=False
            )
            scores[str(question)] = {name: found.summary[name] for name in KEPT if name in found.summary}
    return dataclasses.replace(record, scores=scores)
