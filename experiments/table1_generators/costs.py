"""What the networks cost beside each other: time and memory of an image, memory of a training. Measured as `make bench` does."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from experiments.cells.cell import Cell
from experiments.cells.runner import Workshop
from experiments.cells.timing import interleaved
from experiments.speed.memory import peak_memory
from experiments.speed.models import Painter, training_config
from rsspade.training.parts import Data

__all__ = ["image_costs"]

ROUNDS = 9

Costs = dict[str, dict[str, float]]


def image_costs(workshop: Workshop, cells: Mapping[str, Cell]) -> Costs:
    """Model -> `seconds` and `megabytes` of an image, `training_megabytes`; kept in OUT/image_costs.json."""
    path = workshop.out / "image_costs.json"
    known: Costs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(name not in known for name in cells):
        (world,) = {cell.world for cell in cells.values()}
        known = _measure(workshop.dataset(world), cells, threads=workshop.threads)
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return {name: known[name] for name in cells}


def _measure(data: Path, cells: Mapping[str, Cell], *, threads: int) -> Costs:
    print("time and memory of an image", flush=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            painters = {}
            for name, cell in cells.items():
                config = training_config(data, Path(folder) / name, cell.options)
                painters[name] = Painter(config, Data(config, torch.device("cpu")))
            times = interleaved(painters, rounds=ROUNDS)
    finally:
        torch.set_num_threads(before)
    return {
        name: {
            "seconds": times.seconds(name),
            "megabytes": peak_memory(data, cell.options, "inference"),
            "training_megabytes": peak_memory(data, cell.options, "training"),
        }
        for name, cell in cells.items()
    }
