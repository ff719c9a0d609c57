"""Run cells: several at a time, each in a process of its own, again and again until all are there.

    OUT/real/HASH/            real tiles, whole
    OUT/worlds/NAME/          datasets
    OUT/synthetic/KEY/        what a generator made of one
    OUT/cells/KEY/cell.json   what was asked for
    OUT/cells/KEY/run/        the run folder of its training
    OUT/cells/KEY/record.json its scores, once it has run

Several of these programs may work in one OUT: a lock on each cell keeps them apart, and each begins with what no other is at.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.cells.cell import WEIGHTS, Cell, Data, Question, Record, Synthetic, World
from experiments.cells.datasets import keep_images, make_synthetic, make_world
from experiments.cells.tiles import content_of, cut_tiles
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder
from rsspade.data.readers import PublicReader, convert
from rsspade.errors import InputError, explain
from rsspade.synthesis.residuals import RULE

__all__ = ["Request", "Workshop"]

Request = tuple[Cell, Sequence[Question]]
"""A cell and what is asked of it."""


@dataclass
class Workshop:
    """Where cells are made and kept.

    Attributes:
        out: The folder.
        workers: Cells at a time, each in a process of its own; 0 for one after the other in this process.
        threads: Of each; the arithmetic's last digits depend on it.
    """

    out: Path
    workers: int = 1
    threads: int = 1
    _children: set["subprocess.Popen[str]"] = field(default_factory=set)

    def take_in(self, reader: PublicReader) -> DatasetFolder:
        """Keep real tiles here, whole and in our units, under the hash of their files."""
        path = self.out / "real" / content_of(reader)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            return DatasetFolder.open(path) if path.is_dir() else convert(reader, path)

    def dataset(self, world: Data) -> Path:
        """The dataset of a world or of real tiles that were taken in, made when it is not there."""
        path = self.out / "worlds" / world.name
        if world != world.whole:
            self.dataset(world.whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_dir():
                print(f"world {world.name}", flush=True)
                self._make_dataset(world, path)
        return path

    def _make_dataset(self, world: Data, path: Path) -> None:
        if not isinstance(world, World):
            whole = self.out / "real" / world.content
            if not whole.is_dir():
                raise InputError(
                    explain(whole, expected="the real tiles with this hash", found="none", fix="Name their folder with --data.")
                )  # fmt: skip
            cut_tiles(world, DatasetFolder.open(whole), path)
        elif world == world.whole:
            make_world(world, path, workers=max(self.workers, 1))
        else:
            keep_images(
                DatasetFolder.open(self.dataset(world.whole)),
                path,
                share=world.images,
                seed=world.images_seed,
                by=world.images_by,
            )

    def synthetic(self, synthetic: Synthetic) -> Path:
        """The images of a generator, which is trained where its weights are not here."""
        path, cell = self.out / "synthetic" / synthetic.key, synthetic.generator
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_dir():
                # Other images would get the name of those that were asked for, perhaps by a program that began with other code.
                if synthetic.residuals and synthetic.rule != RULE:
                    raise SystemExit(
                        f"{path}: expected residuals by rule {synthetic.rule}, this code lays them over by rule {RULE}. Run the commit that "
                        "asked for them, or ask anew."
                    )
                weights = self.generator(cell)
                make_synthetic(
                    weights, self.dataset(cell.world.whole), path, samples=synthetic.samples,
                    residuals=synthetic.residuals, donors=self.dataset(cell.world),
                )  # fmt: skip
        return path

    def generator(self, cell: Cell) -> Path:
        """The weights of a generator, which is trained where they are not here."""
        from experiments.cells.work import work_on

        work_on(self, cell, ())
        return self.weights(cell)

    def take_over(self, records: Iterable[Mapping[str, object]]) -> int:
        """Keep records of another place, such as a results.json, as if they had been made here; returns how many.

        Of a training that is known here already, the scores that are new; of a cell with another training here, or that a
        program is at work on, nothing.
        """
        taken = 0
        for content in records:
            record = Record(**content)  # type: ignore[arg-type]
            folder = self.folder(record.cell)
            if not record.is_current() or _is_held(folder / "lock"):
                continue
            path = folder / "record.json"
            if path.is_file():
                known = Record.read(path)
                if not known.has_the_training_of(record) or record.scores.keys() <= known.scores.keys():
                    continue
                record = dataclasses.replace(known, scores={**record.scores, **known.scores})
            folder.mkdir(parents=True, exist_ok=True)
            record.write(path)
            taken += 1
        return taken

    def weights(self, cell: Cell) -> Path:
        """The last weights of a cell that ran here."""
        return self.folder(cell) / "run" / WEIGHTS[cell.trains]

    def folder(self, cell: Cell) -> Path:
        """Where a cell lives."""
        return self.out / "cells" / cell.key

    def finished(self, cell: Cell, questions: Sequence[Question]) -> Record | None:
        """The record of a cell where it answers the questions and is current."""
        path = self.folder(cell) / "record.json"
        if not path.is_file():
            return None
        record = Record.read(path)
        if not record.is_current():
            raise SystemExit(
                f"{path}: expected a training with today's defaults, found another. Remove the folder, or raise its GENERATIONS."
            )
        return record if all(str(q) in record.scores for q in questions) else None

    def run(self, cells: Sequence[Cell], questions: Sequence[Question]) -> list[Record]:
        """The records of the cells, in their order; those that are not there are made now, `workers` at a time."""
        return self.run_all([(cell, questions) for cell in cells])

    def run_all(self, requests: Sequence[Request]) -> list[Record]:
        """As `run`, where each cell is asked its own questions."""
        asked = dict[str, list[Question]]()
        for cell, questions in requests:
            asked.setdefault(cell.key, []).extend(questions)
        unique = [(cell, tuple(dict.fromkeys(asked[key]))) for key, cell in {c.key: c for c, _ in requests}.items()]
        todo = [request for request in unique if self.finished(*request) is None]
        for world in {cell.world for cell, _ in todo} | {q.world for _, asked in todo for q in asked if q.world}:
            self.dataset(world)
        if todo:
            print(f"{len(unique) - len(todo)} of {len(unique)} cells are there, {len(todo)} to go", flush=True)
            if self.workers:
                self._make_all(todo)
            else:
                self._make_here(todo)
        found = [self.finished(*request) for request in requests]
        missing = [cell.key for (cell, _), record in zip(requests, found, strict=True) if record is None]
        if missing:
            raise SystemExit(f"cells that did not finish: {', '.join(missing)}")
        return [record for record in found if record is not None]

    def _make_here(self, requests: Sequence[Request]) -> None:
        from experiments.cells.work import work_on

        for cell, questions in requests:
            work_on(self, cell, questions)

    def _make_all(self, requests: Sequence[Request]) -> None:
        stop, choosing, pending, failed = threading.Event(), threading.Lock(), list(requests), list[str]()

        def work() -> None:
            while not stop.is_set():
                with choosing:
                    if not pending:
                        return
                    # What others are at work on comes last: they may finish it.
                    free = (n for n, (cell, _) in enumerate(pending) if not self._is_busy(cell))
                    cell, questions = pending.pop(next(free, 0))
                if self.finished(cell, questions) is None:
                    failed.append(self._make(cell, questions, stop))

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the cells at work save and end
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for worker in [pool.submit(work) for _ in range(self.workers)]:
                    worker.result()
            except BaseException:
                stop.set()
                for child in list(self._children):
                    child.terminate()
                raise
        if any(failed):  # one that diverges does not keep the others from being trained
            raise SystemExit("\n".join(filter(None, failed)))

    def _is_busy(self, cell: Cell) -> bool:
        """Whether a process is at work on it, or on what it rests on."""
        places = [self.folder(cell) / "lock"]
        if cell.rests_on is not None:
            places.append(self.folder(cell.rests_on) / "lock")
        if cell.synthetic is not None:
            places.append(self.out / "synthetic" / f"{cell.synthetic.key}.lock")
        return any(_is_held(place) for place in places)

    def _make(self, cell: Cell, questions: Sequence[Question], stop: threading.Event) -> str:
        """Make a cell in a process of its own; returns what went wrong, empty where nothing did."""
        if stop.is_set():
            return ""
        folder = self.folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(folder / "cell.json", json.dumps(cell.to_json(), indent=1).encode())
        words = [word for question in questions for word in ("--question", question.to_json())]
        command = [sys.executable, "-m", "experiments.cells", str(self.out), cell.key, *words]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        start = time.perf_counter()
        with (folder / "log.txt").open("a") as log:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env=environment, start_new_session=True
            )
            self._children.add(child)
            code = child.wait()
            self._children.discard(child)
        if code != 0:
            if stop.is_set():
                return ""
            lines = (folder / "log.txt").read_text().strip().splitlines()
            told = f"{folder}: ended with {code}: {lines[-1] if lines else 'without a word'}"
            print(told, flush=True)
            return told
        with contextlib.suppress(OSError):
            record = Record.read(folder / "record.json")
            score = record.scores[str(questions[0])]
            shown = " ".join(f"{score[name]:.4f}" for name in HEADLINE if name in score)
            print(f"{cell.key}  {shown}  {time.perf_counter() - start:.0f} s  {_short(cell)}", flush=True)
        return ""


def _is_held(place: Path) -> bool:
    if not place.is_file():
        return False
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


HEADLINE = ("psnr", "ssim", "sam_rad", "miou", "accuracy")


def _short(cell: Cell) -> str:
    own = "" if cell.trains == "generator" else f"{cell.trains} "
    own += "" if isinstance(cell.world, World) else f"{cell.world.design} {cell.world.fold} "
    own += "pre-trained " if cell.begins_with is not None else ""
    return own + " ".join(f"{name}={value}" for name, value in cell.options.items())
