"""`python -m experiments.table1_generators`: learning rates, then the confirmation, then what the adversarial loss does.

Parts: `rates` (each model's best rate, on the val split), `cost` (equal cost, test split, fresh seeds), `steps` (equal steps),
`adversarial` (the winner with and without). Without --part all of them run, in this order.
"""

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Question, Record
from experiments.cells.machine import machine
from experiments.cells.results import add_options, open_workshop, write_results
from experiments.cells.runner import Workshop
from experiments.cells.step_time import step_times
from experiments.table1_generators.plan import PRESETS, Preset, models
from experiments.table1_generators.report import write_report

VAL, TEST = Question("val"), Question("test")
PARTS = ("rates", "cost", "steps", "adversarial")


def affordable(seconds: float, step_time: float) -> int:
    """Steps that cost `seconds`."""
    return max(round(seconds / step_time / 10) * 10, 2)


def best_rate(workshop: Workshop, cell: Cell, rates: Sequence[float], *, widen: bool) -> tuple[float, list[Record]]:
    """The rate with the highest PSNR on the val split; the grid grows at an end that turns out best."""
    grid = sorted(rates)
    while True:
        records = workshop.run([cell.with_(lr=rate, seed=0) for rate in grid], [VAL])
        scores = [record.scores[str(VAL)]["psnr"] for record in records]
        best = max(range(len(grid)), key=lambda n: scores[n])
        if widen and best == 0 and grid[0] > 1e-5:
            grid.insert(0, grid[0] / 2)
        elif widen and best == len(grid) - 1 and grid[-1] < 0.1:
            grid.append(grid[-1] * 2)
        else:
            return grid[best], records


def find_rates(workshop: Workshop, preset: Preset, times: Mapping[str, float]) -> tuple[dict[str, float], list[Record]]:
    """Each model's own best rate at a third of the budget."""
    chosen, records = {}, []
    cells = {
        name: cell.with_(steps=affordable(preset.seconds / 3, times[name])) for name, cell in models(preset).items()
    }
    # All first rounds together, so that several workers have something to do.
    workshop.run([cell.with_(lr=rate, seed=0) for rate in preset.rates for cell in cells.values()], [VAL])
    for name, cell in cells.items():
        chosen[name], found = best_rate(workshop, cell, preset.rates, widen=preset.widen)
        records += found
        print(f"best rate of {name}: {chosen[name]:g}", flush=True)
    return chosen, records


def confirm(workshop: Workshop, preset: Preset, cells: Mapping[str, Cell]) -> dict[str, list[Record]]:
    """Each cell with every fresh seed, on the test split; seed by seed, so that an early end leaves whole pairs."""
    pairs = [(name, cell.with_(seed=seed)) for seed in preset.seeds for name, cell in cells.items()]
    records = workshop.run([cell for _, cell in pairs], [TEST])
    found: dict[str, list[Record]] = {name: [] for name in cells}
    for (name, _), record in zip(pairs, records, strict=True):
        found[name].append(record)
    return found


def main() -> None:
    """Run the parts that are asked for and write down what they found."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table1_generators", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--seeds", type=int, metavar="N", help="only the first N fresh seeds, to stop early")
    parser.add_argument("--results", type=Path, help="folder of results.json and RESULTS.md (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    preset = dataclasses.replace(preset, seeds=preset.seeds[: options.seeds])
    parts = options.part or PARTS
    times = step_times(workshop, {name: cell.with_(lr=1e-3, seed=0) for name, cell in models(preset).items()})
    rates, records = find_rates(workshop, preset, times)
    base = {name: cell.with_(lr=rates[name]) for name, cell in models(preset).items()}
    groups: dict[str, dict[str, list[Record]]] = {}
    if "cost" in parts:
        cost = {name: cell.with_(steps=affordable(preset.seconds, times[name])) for name, cell in base.items()}
        groups["cost"] = confirm(workshop, preset, cost)
    if "steps" in parts:
        groups["steps"] = confirm(
            workshop, preset, {n: c.with_(steps=preset.steps) for n, c in base.items() if n != "spade"}
        )
    if "adversarial" in parts:
        plain = base["rs_spade"].with_(steps=preset.steps)
        pairs = {"without": plain, "with": plain.with_(loss__adversarial=0.02)}
        groups["adversarial"] = confirm(workshop, preset, pairs)
    everything = [*records, *(r for group in groups.values() for found in group.values() for r in found)]
    conclusions: dict[str, Any] = {
        "experiment": "table1_generators", "preset": options.preset, "date": time.strftime("%Y-%m-%d"), "machine": machine(),
        "step_times": times, "rates": rates,
    }  # fmt: skip
    folder = options.results or workshop.out / "table1_generators"
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "results.json", conclusions, everything)
    write_report(folder / "RESULTS.md", conclusions, records, groups)


if __name__ == "__main__":
    main()
