"""`python -m experiments.table2_sources`: every subset of the sources, by models of its own and by one for all.

Parts: `one` (the model for all subsets), `alone` (a model per subset), `batch` (the one model again, with batch norms).
Without --part all run. The tables hold all that is
there, whatever was asked for in this call.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

from experiments.cells.cell import Cell, Question, Record
from experiments.cells.machine import made
from experiments.cells.results import add_options, earlier_results, open_workshop, write_results
from experiments.cells.runner import Workshop
from experiments.table2_sources.figure import draw_tiles
from experiments.table2_sources.plan import PRESETS, SUBSETS, Preset, alone, one_for_all, questions
from experiments.table2_sources.report import Found, write_report

PARTS = ("one", "alone", "batch")
NORMS = {"one": "group", "batch": "batch"}
"""Of the one model in a part."""


def train(workshop: Workshop, preset: Preset, part: str) -> None:
    """A part with all seeds, seed by seed, so that an early end leaves whole tables."""
    if part != "alone":
        cell = one_for_all(preset, NORMS[part])
        workshop.run([cell.with_(seed=seed) for seed in preset.seeds], _all_questions(preset))
        return
    pairs = itertools.product(preset.seeds, SUBSETS)
    workshop.run_all([(alone(preset, s).with_(seed=seed), questions(preset, s)) for seed, s in pairs])


def _all_questions(preset: Preset) -> list[Question]:
    return [question for subset in SUBSETS for question in questions(preset, subset)]


def collect(workshop: Workshop, preset: Preset) -> Found:
    """What is finished."""

    def finished(cell: Cell, asked: Sequence[Question]) -> dict[int, Record]:
        records = {seed: workshop.finished(cell.with_(seed=seed), asked) for seed in preset.seeds}
        return {seed: record for seed, record in records.items() if record is not None}

    own = {subset: finished(alone(preset, subset), questions(preset, subset)) for subset in SUBSETS}
    one, batch = (finished(one_for_all(preset, NORMS[part]), _all_questions(preset)) for part in ("one", "batch"))
    return Found({subset: records for subset, records in own.items() if records}, one, batch)


def main() -> None:
    """Run what is asked for; write down what is there."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table2_sources", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--results", type=Path, help="folder of tables and figure (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    for part in options.part or PARTS:
        train(workshop, preset, part)
    found = collect(workshop, preset)
    answers = {
        name: workshop.run([Cell(preset.world, {"answer": name}, "answer")], [Question("test")])[0]
        for name in ("class_mean", "oracle")
    }
    everything = [*answers.values(), *found.records]
    conclusions = {"experiment": "table2_sources", "preset": options.preset, **made(everything)}
    folder = options.results or workshop.out / "table2_sources"
    folder.mkdir(parents=True, exist_ok=True)
    earlier = earlier_results(folder / "results.json", options.preset)
    write_results(folder / "results.json", conclusions, everything)
    picture = folder / "tiles.png"
    figure = draw_tiles(picture, workshop, preset) or bool(earlier and picture.is_file())
    write_report(folder / "RESULTS.md", conclusions, preset, found, answers, figure=figure)


if __name__ == "__main__":
    main()
