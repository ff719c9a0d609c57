"""`python -m experiments.table1_generators`: learning rates, then the confirmation, then what the adversarial loss does.

Parts: `rates` (each model's best rate, on the val split), `cost` (equal cost, test split, fresh seeds), `steps` (equal steps),
`spade` (spade at equal steps, the dearest of all), `adversarial` (rs_spade with and without). Without --part all of them run,
in this order. The tables hold all that is there, whatever was asked for in this call.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Question, Record
from experiments.cells.machine import made
from experiments.cells.results import add_options, at_least_one, earlier_results, open_workshop, write_results
from experiments.cells.runner import Workshop
from experiments.cells.step_time import step_times
from experiments.speed.models import best_device
from experiments.table1_generators.costs import image_costs
from experiments.table1_generators.figure import draw_tiles
from experiments.table1_generators.plan import PRESETS, RIMMED, TEST, VAL, Preset, models
from experiments.table1_generators.report import write_report

PARTS = ("rates", "cost", "steps", "spade", "adversarial")


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


def arms(preset: Preset, rates: Mapping[str, float], times: Mapping[str, float]) -> dict[str, dict[str, Cell]]:
    """Part -> arm -> cell, still without a seed; the first arm of a part is held against the others."""
    base = {name: cell.with_(lr=rates[name]) for name, cell in models(preset).items()}
    plain = base["rs_spade"].with_(steps=preset.steps)
    return {
        "cost": {name: cell.with_(steps=affordable(preset.seconds, times[name])) for name, cell in base.items()},
        "steps": {name: cell.with_(steps=preset.steps) for name, cell in base.items() if name != "spade"},
        "spade": {name: base[name].with_(steps=preset.steps) for name in ("rs_spade", "spade")},
        "adversarial": {"without": plain, "with": plain.with_(loss__adversarial=0.02)},
    }


def questions(part: str) -> tuple[Question, ...]:
    """What the cells of a part are asked; at equal cost what edges are worth, too."""
    return (TEST, RIMMED) if part == "cost" else (TEST,)


def confirm(workshop: Workshop, cells: Mapping[str, Cell], seeds: Sequence[int], asked: Sequence[Question]) -> None:
    """Train each cell with every seed; seed by seed, so that an early end leaves whole pairs."""
    workshop.run([cell.with_(seed=seed) for seed in seeds for cell in cells.values()], asked)


def collect(
    workshop: Workshop, cells: Mapping[str, Cell], seeds: Sequence[int], asked: Sequence[Question]
) -> dict[str, list[Record]]:
    """What is finished, of the seeds that all arms have; empty where there is none."""
    found: dict[str, list[Record]] = {name: [] for name in cells}
    for seed in seeds:
        records = {name: workshop.finished(cell.with_(seed=seed), asked) for name, cell in cells.items()}
        for name, record in records.items():
            if record is not None and all(records.values()):
                found[name].append(record)
    return found if all(found.values()) else {}


def main() -> None:
    """Run the parts that are asked for; write down what is there of all."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table1_generators", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--seeds", type=at_least_one, metavar="N", help="only the first N fresh seeds, to stop early")
    parser.add_argument("--results", type=Path, help="folder of tables and figure (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    unseeded = {name: cell.with_(lr=1e-3, seed=0) for name, cell in models(preset).items()}
    times, costs = step_times(workshop, unseeded), image_costs(workshop, unseeded)
    rates, records = find_rates(workshop, preset, times)
    cells = arms(preset, rates, times)
    for part in options.part or PARTS:
        if part in cells:
            confirm(workshop, cells[part], preset.seeds[: options.seeds], questions(part))
    groups = {part: collect(workshop, own, preset.seeds, questions(part)) for part, own in cells.items()}
    answers = {
        n: workshop.run([Cell(preset.world, {"answer": n}, "answer")], [TEST])[0] for n in ("class_mean", "oracle")
    }
    everything = [
        *records,
        *answers.values(),
        *(r for group in groups.values() for found in group.values() for r in found),
    ]
    conclusions: dict[str, Any] = {
        "experiment": "table1_generators", "preset": options.preset, **made(everything),
        "tile_size": preset.world.tile_size, "device": best_device().type, "step_times": times, "image_costs": costs, "rates": rates,
    }  # fmt: skip
    folder = options.results or workshop.out / "table1_generators"
    folder.mkdir(parents=True, exist_ok=True)
    earlier = earlier_results(folder / "results.json", options.preset)
    write_results(folder / "results.json", conclusions, everything)
    shown = {name: cell.with_(seed=preset.seeds[0]) for name, cell in cells["cost"].items()}
    picture = folder / "tiles.png"
    figure = draw_tiles(picture, workshop, shown) or bool(earlier and picture.is_file())
    write_report(folder / "RESULTS.md", conclusions, records, groups, answers, figure=figure)


if __name__ == "__main__":
    main()
