"""`python -m experiments.table3_augmentation`: networks on real tiles, and on real and synthetic ones, in pairs.

Parts: `forest` (does the network learn at all?), `core` (three regimes of labels, at equal steps and at equal epochs), then
one factor at a time: `scenes`, `images`, `until`, `ratio`, `samples`, `labels`, `augmentation`. Without --part all run, in
this order. The tables hold all that is there, whatever was asked for in this call.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.cells.machine import made
from experiments.cells.results import add_options, at_least_one, earlier_results, open_workshop, write_results
from experiments.cells.runner import Workshop
from experiments.table3_augmentation.figures import draw_curves, draw_maps
from experiments.table3_augmentation.images import draw_images, image_sets, measure_images
from experiments.table3_augmentation.plan import PARTS, PRESETS, Preset, arms, questions
from experiments.table3_augmentation.report import Found, write_report


def main() -> None:
    """Run what is asked for and write down what is there."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table3_augmentation", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--seeds", type=at_least_one, metavar="N", help="only the first N seeds, to stop early")
    parser.add_argument("--results", type=Path, help="folder of tables and figures (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    run(workshop, preset, options.part or PARTS, seeds=options.seeds)
    found = collect(workshop, preset)
    sets = image_sets(workshop, preset)
    folder = options.results or workshop.out / "table3_augmentation"
    folder.mkdir(parents=True, exist_ok=True)
    earlier = earlier_results(folder / "results.json", options.preset)
    everything = [record for records in found.values() for record in records.values()]
    conclusions = {
        "experiment": "table3_augmentation", "preset": options.preset, **made(everything),
        "images": measure_images(sets) or earlier.get("images", {}),
    }  # fmt: skip
    write_results(folder / "results.json", conclusions, everything)
    draw_curves(folder / "curves.png", preset, found)
    drawn = {
        "maps": draw_maps(folder / "maps.png", workshop, preset), "images": draw_images(folder / "images.png", sets),
    }  # fmt: skip
    shown = [name for name, there in drawn.items() if there or (earlier and (folder / f"{name}.png").is_file())]
    write_report(folder / "RESULTS.md", conclusions, preset, found, drawn=shown)


def run(workshop: Workshop, preset: Preset, parts: Sequence[str], *, seeds: int | None) -> None:
    """Part by part, and in each seed by seed, so that an early end leaves whole pairs."""
    for part in parts:
        cells = [cell for seed in _seeds(preset, part)[:seeds] for cell in arms(preset, seed, part).values()]
        workshop.run_all([(cell, questions(preset, cell)) for cell in cells])


def collect(workshop: Workshop, preset: Preset) -> Found:
    """All finished cells of all parts: arm -> seed -> record."""
    found: Found = {}
    for part in PARTS:
        for seed in _seeds(preset, part):
            for name, cell in arms(preset, seed, part).items():
                record = workshop.finished(cell, questions(preset, cell))
                if record is not None:
                    found.setdefault(name, {})[seed] = record
    return found


def _seeds(preset: Preset, part: str) -> tuple[int, ...]:
    return preset.seeds if part == "core" else preset.seeds[: preset.factor_seeds]


if __name__ == "__main__":
    main()
