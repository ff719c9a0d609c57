"""`python -m experiments.figures`: the paper's Figs 1 to 3 and 6, and whether synthetic images make weak contrasts visible.

The generator is that of --run, with --data; without them, the longest training of rs_spade that experiments.table1_generators
has left in --out, or one of experiments.table2_sources, which is trained where it is not there.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Question, Record
from experiments.cells.machine import made
from experiments.cells.pictures import telling_tiles
from experiments.cells.results import add_options, open_workshop
from experiments.cells.runner import Workshop
from experiments.cells.work import work_on
from experiments.figures.chart import draw_changes
from experiments.figures.contrast import TileMeasures, compare_contrasts, summary
from experiments.figures.draw import draw_pair, draw_radar, draw_synthetic, draw_terrain, roughest
from experiments.figures.report import write_report
from experiments.table1_generators.plan import PRESETS as TABLE1
from experiments.table1_generators.plan import models
from experiments.table2_sources.plan import PRESETS as TABLE2
from experiments.table2_sources.plan import alone
from rsspade.baselines import class_means
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, RSSpadeError, explain
from rsspade.evaluation import find_generator
from rsspade.jobs import disk_errors
from rsspade.models import RSSpade
from rsspade.sources import CONDITIONS

TILES = 4
"""Of the figure of synthetic beside real."""
OPEN = ("lr", "steps", "seed")
"""What may differ between a cell and the one that table1 is about."""


def trained_cell(workshop: Workshop, preset: str) -> Cell:
    """The longest finished training of table1's rs_spade; where there is none, the one of table2 with all sources."""
    wanted = models(TABLE1[preset])["rs_spade"]
    found = []
    for path in sorted(workshop.out.glob("cells/*/record.json")):
        record = Record.read(path)
        cell = record.cell
        plain = {name: value for name, value in cell.options.items() if name not in OPEN}
        alike = dataclasses.replace(cell, options=plain) == wanted
        if alike and record.is_current() and workshop.weights(cell).is_dir():
            found.append(cell)
    if found:
        return max(found, key=lambda cell: (cell.options["steps"], -cell.options["seed"]))
    cell = alone(TABLE2[preset], CONDITIONS).with_(seed=TABLE2[preset].seeds[0])
    workshop.run([cell], [Question("test")])
    work_on(workshop, cell, ())  # where it is known by its record alone
    return cell


def check_sources(dataset: DatasetFolder) -> None:
    """The figures show all of them."""
    missing = [name for name in ("S2", "S1", "LULC", "DEM") if name not in dataset.info.sources]
    if missing:
        raise InputError(
            explain(dataset.path, expected="a dataset with S2, S1, LULC and DEM", found=f"none of {', '.join(missing)}",
                    fix="Choose another dataset.")
        )  # fmt: skip


def make_figures(folder: Path, dataset: DatasetFolder, model: RSSpade) -> dict[str, Any]:
    """Draw all, measure the contrasts."""
    means, rows = class_means(dataset), telling_tiles(dataset, "test", TILES)
    if not rows:
        raise InputError(
            explain(dataset.path, expected="test tiles with a clear image and land cover", found="none", fix="Choose another dataset.")
        )  # fmt: skip
    measured = compare_contrasts(dataset, model, means)
    found = summary(dataset, measured)
    draw_terrain(folder / "terrain.png", dataset, roughest(dataset, dataset.in_split("test")))
    radar = draw_radar(folder / "radar.png", dataset, rows[0])
    draw_pair(folder / "pair.png", dataset, rows[0])
    draw_synthetic(folder / "synthetic.png", dataset, model, means, rows)
    draw_changes(folder / "contrast.png", found)
    scenes = {row.scene for row in dataset.rows if row.tile in measured}
    return {
        "tiles": len(measured),
        "scenes": len(scenes),
        "radar": radar,
        "contrast": found,
        "by_tile": rounded(measured),
    }


def rounded(measured: Mapping[str, TileMeasures]) -> dict[str, TileMeasures]:
    """For the file."""
    return {
        tile: {name: {kind: round(value, 5) for kind, value in own.items()} for name, own in values.items()}
        for tile, values in measured.items()
    }


def about(model: RSSpade, dataset: DatasetFolder) -> dict[str, Any]:
    """Which generator made the synthetic images."""
    training = model.info.training
    return {
        "model": model.info.architecture.model, "sources": list(model.info.sources), "steps": training.get("step", "–"),
        "seed": training.get("seed", "–"), "lr": training.get("lr", math.nan),
        "adversarial": training.get("losses", {}).get("adversarial", math.nan),
        "unseen": model.info.split_sha256 == dataset.info.split.get("sha256"),
    }  # fmt: skip


def main() -> int:
    """Draw and measure, with the generator that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="a run folder whose generator makes the synthetic images"
    )
    parser.add_argument("--data", type=Path, metavar="DATASET", help="the dataset of --run")
    parser.add_argument("--results", type=Path, help="folder of table and figures (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    if (options.run is None) != (options.data is None):
        parser.error("--run and --data belong together: expected both or none, found one")
    workshop = open_workshop(options)
    try:
        if options.run is None:
            cell = trained_cell(workshop, options.preset)
            weights, dataset = workshop.weights(cell), DatasetFolder.open(workshop.dataset(cell.world))
        else:
            weights, dataset = find_generator(options.run), DatasetFolder.open(options.data)
        check_sources(dataset)
        model = RSSpade.from_pretrained(weights)
        folder = options.results or workshop.out / "figures"
        with disk_errors(folder):  # before the work, not after it
            folder.mkdir(parents=True, exist_ok=True)
        found = make_figures(folder, dataset, model)
    except RSSpadeError as err:
        print(f"figures: {' '.join(str(err).split())}", file=sys.stderr)
        return 2
    results = {
        "experiment": "figures", "preset": options.preset, **made(),
        "dataset": dataset.info.name, "run": about(model, dataset), **found,
    }  # fmt: skip
    write_bytes_atomically(folder / "results.json", (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"Wrote {folder / 'results.json'}")
    write_report(folder / "RESULTS.md", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
