"""The work on one cell: train it, score it, keep the record."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import Accelerator
from filelock import FileLock

from experiments.cells import trainings
from experiments.cells.cell import Cell, Question, Record, effective
from experiments.cells.machine import commit, machine
from rsspade.data.manifest import DatasetFolder

if TYPE_CHECKING:
    from experiments.cells.runner import Workshop

__all__ = ["work_on"]


def work_on(workshop: "Workshop", cell: Cell, questions: Sequence[Question]) -> None:
    """One cell to its `record.json`; only what is not there yet is done, by one process at a time."""
    folder = workshop.folder(cell)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        path = folder / "record.json"
        record = Record.read(path) if path.is_file() else None
        if record is None or not trainings.is_trained(cell, folder / "run"):
            # The scores of an earlier record stay: they are of a training with the same options.
            scores = {} if record is None else record.scores
            record = dataclasses.replace(_train(workshop, cell), scores=scores)
            record.write(path)  # whoever is interrupted while it is scored need not train it again
        _score(workshop, record, questions, path)


def _train(workshop: "Workshop", cell: Cell) -> Record:
    """Train, or go on training."""
    made = None if cell.synthetic is None else workshop.synthetic(cell.synthetic)
    # In full: a run that goes on must have been given the same path, wherever it is called from.
    first = None if cell.begins_with is None else workshop.generator(cell.begins_with).resolve()
    seen = {} if cell.rests_on is None else effective(cell.rests_on.config(workshop.out, workshop.out))
    config = cell.config(workshop.dataset(cell.world), workshop.folder(cell) / "run", made, first)
    start = time.perf_counter()
    trained = trainings.train(cell, config)
    return Record(
        **cell.to_json(),
        config=effective(config),
        parameters=trained.parameters,
        machine=machine(),
        date=time.strftime("%Y-%m-%d"),
        commit=commit(),
        seconds=round(time.perf_counter() - start, 1),
        generator=seen,
        curve=trained.curve,
    )


def _score(workshop: "Workshop", record: Record, questions: Sequence[Question], path: Path) -> None:
    """Answer the questions that the record does not answer yet, and keep each answer."""
    asked = [question for question in questions if str(question) not in record.scores]
    if not asked:
        return
    cell = record.cell
    answer = trainings.answerer(
        cell, workshop.dataset(cell.world), workshop.folder(cell) / "run", Accelerator(cpu=True)
    )
    for question in asked:
        found = answer(DatasetFolder.open(workshop.dataset(question.world or cell.world)), question)
        record = dataclasses.replace(record, scores={**record.scores, str(question): found})
        record.write(path)
