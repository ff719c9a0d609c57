"""`python -m experiments.real_tiles --data DIR`: generators trained and scored on a few real tiles.

Parts: `leave_out` (all tiles but one, scored on that one), `blocks` (a part of every tile, scored on another part of it).
Without --part both run.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from experiments.cells.cell import Question, Record
from experiments.cells.machine import made
from experiments.cells.results import add_options, at_least_one, open_workshop, write_results
from experiments.cells.runner import Workshop
from experiments.cells.tiles import SMALLEST_WINDOW, Design
from experiments.real_tiles.plan import CLASS_MEAN, DESIGNS, PRESETS, Preset, arms, class_mean, folds, question
from experiments.real_tiles.report import Found, gather, write_report
from rsspade.data.readers import TerraMeshReader
from rsspade.errors import InputError, RSSpadeError, explain
from rsspade.sources import CONDITIONS, parse_conditions


def main() -> int:
    """Run what is asked for and write it down; returns the exit code (2 for a mistake by the user)."""
    parser = argparse.ArgumentParser(prog="python -m experiments.real_tiles", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="holds S2L2A, S1RTC or S1GRD, LULC, DEM"
    )
    parser.add_argument("--sources", default=",".join(CONDITIONS), help="that the generators see (%(default)s)")
    parser.add_argument("--part", choices=DESIGNS, action="append", help="only this part")
    parser.add_argument("--seeds", type=at_least_one, metavar="N", help="only the first N seeds, to stop early")
    parser.add_argument("--results", type=Path, help="folder of results.json and RESULTS.md (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    try:
        run(options)
    except RSSpadeError as err:
        print(f"real_tiles: {' '.join(str(err).split())}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Take the tiles in, run the cells, write the results."""
    preset, sources = PRESETS[options.preset], parse_conditions(options.sources)
    preset = dataclasses.replace(preset, seeds=preset.seeds[: options.seeds])
    parts: list[Design] = [design for design in DESIGNS if not options.part or design in options.part]
    reader = TerraMeshReader(options.data)
    tiles = usable_tiles(reader, preset, sources, parts)
    workshop = open_workshop(options)
    whole = workshop.take_in(reader)
    content = whole.path.name
    designs: dict[str, Found] = {}
    records: list[Record] = []
    for design in parts:
        designs[design], own = compare_on(workshop, preset, design, content, tiles, sources)
        records += own
    conclusions: dict[str, Any] = {
        "experiment": "real_tiles", "preset": options.preset, **made(records), "tiles": tiles, "tile_size": whole.info.tile_size, "content": content,
        "sources": list(sources),
    }  # fmt: skip
    folder = options.results or workshop.out / "real_tiles"
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "results.json", conclusions, records)
    write_report(folder / "RESULTS.md", conclusions, designs)


def usable_tiles(reader: TerraMeshReader, preset: Preset, sources: tuple[str, ...], parts: list[Design]) -> list[str]:
    """The names of the tiles; refuses a folder that does not hold what the parts need."""
    names = [row.tile for row in reader.rows]
    for tile in names:
        for name in dict.fromkeys(
            ("s2", *sources, "lulc")
        ):  # the class mean needs classes, whatever the generators see
            if not reader.has(name, tile):
                raise InputError(
                    explain(reader.tile_path(name, tile), expected=f"the source {name} of every tile", found="none for this one",
                            fix="Add it, remove the tile's other files, or choose others with --sources (s2 and lulc are always needed).")
                )  # fmt: skip
        size, needed = reader.georeference(tile).width, preset.crop + max(preset.block + preset.gap, SMALLEST_WINDOW)
        if size < needed:
            raise InputError(
                explain(reader.tile_path("s2", tile), expected=f"a tile of at least {needed} px, for crops of {preset.crop} px and blocks of "
                        f"{preset.block} px with {preset.gap} px between them", found=f"{size} px", fix="Take larger tiles.")
            )  # fmt: skip
    if "leave_out" in parts and len(names) < 2:
        raise InputError(
            explain(reader.path, expected="two tiles or more, to leave one out", found=f"only {names[0]}",
                    fix="Add tiles, or choose --part blocks.")
        )  # fmt: skip
    return names


def compare_on(
    workshop: Workshop, preset: Preset, design: Design, content: str, tiles: list[str], sources: tuple[str, ...]
) -> tuple[Found, list[Record]]:
    """All cells of a design; first those on the built-in world, then seed by seed, so that an early end leaves whole pairs."""
    parts = folds(preset, design, content, tiles)
    asked = {fold.name: question(fold, sources) for fold in parts}
    cells = [(CLASS_MEAN, 0, class_mean(fold)) for fold in parts]
    for seed in preset.seeds:
        cells += [(arm, seed, cell) for fold in parts for arm, cell in arms(preset, fold, seed, sources).items()]
    world = {cell.begins_with.key: cell.begins_with for _, _, cell in cells if cell.begins_with is not None}
    first = workshop.run(list(world.values()), [Question("test", sources)])
    records = workshop.run_all([(cell, [asked[cell.world.name]]) for _, _, cell in cells])
    named = [(arm, seed, record) for (arm, seed, _), record in zip(cells, records, strict=True)]
    return gather(named, {name: str(own) for name, own in asked.items()}), [*first, *records]


if __name__ == "__main__":
    sys.exit(main())
