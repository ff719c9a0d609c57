"""How long a training step takes, model beside model: turns of a few steps each, medians, so that a busy machine hits all alike.

python -m experiments.cells.step_time OUT NAME=KEY ..   prints JSON: name -> seconds
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from experiments.cells.cell import Cell, World
from experiments.cells.runner import Workshop
from experiments.cells.tiles import Tiles
from experiments.cells.timing import interleaved
from rsspade.config import TrainingConfig
from rsspade.training.loop import Run, training_steps
from rsspade.training.parts import Data, make_accelerator

ROUNDS, WARM_UP = 12, 2


def measure(cells: Mapping[str, Cell], data: Path, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds per step of each cell's training, its loader, losses and average included."""
    with tempfile.TemporaryDirectory() as folder:
        turns = {}
        for name, cell in cells.items():
            config = cell.with_(steps=rounds + WARM_UP).config(data, Path(folder) / name)
            assert isinstance(config, TrainingConfig)
            accelerator = make_accelerator(config, Path(folder) / "events")
            turns[name] = training_steps(Run.build(config, accelerator, Data(config, accelerator.device)))
        steps = {name: partial(next, own) for name, own in turns.items()}
        return interleaved(steps, rounds=rounds, warm_up=WARM_UP).medians()


def step_times(workshop: Workshop, cells: Mapping[str, Cell]) -> dict[str, float]:
    """As `measure`, in a process of its own with the workshop's threads; kept in OUT/step_times.json."""
    path = workshop.out / "step_times.json"
    known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(name not in known for name in cells):
        (world,) = {cell.world for cell in cells.values()}
        workshop.dataset(world)
        asked = {name: {"world": vars_of(cell.world), "options": dict(cell.options)} for name, cell in cells.items()}
        done = subprocess.run(
            [sys.executable, "-m", "experiments.cells.step_time", str(workshop.out), str(workshop.threads)],
            input=json.dumps(asked), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"step times: {done.stderr.strip().splitlines()[-1]}")
        known = json.loads(done.stdout.strip().splitlines()[-1])
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return {name: known[name] for name in cells}


def vars_of(world: World | Tiles) -> dict[str, object]:
    """The fields of a world."""
    assert isinstance(world, World), "step times are measured on the built-in world"
    return {name: getattr(world, name) for name in world.__slots__}


def main() -> None:
    """Read the cells from standard input, print their step times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    asked = json.load(sys.stdin)
    cells = {name: Cell(World(**content["world"]), content["options"]) for name, content in asked.items()}
    (world,) = {cell.world for cell in cells.values()}
    print(json.dumps(measure(cells, Workshop(options.out).dataset(world))))


if __name__ == "__main__":
    main()
