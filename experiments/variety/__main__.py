"""`python -m experiments.variety`: where variety comes from, and whether the default generator's keeps what is asked of it.

Parts: `arms` (three sources of variety in a small generator), `seeds` (the default generator with several seeds, as cells
that resume). Without --part both run; results.json keeps what the other part found.
"""

import argparse
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.cells.cell import Record, World
from experiments.cells.machine import made
from experiments.cells.results import add_options, open_workshop, write_results
from experiments.variety.arms import SAMPLES, Size, compare_arms
from experiments.variety.seeds import cells, criteria_table, draw_scores

PARTS = ("arms", "seeds")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How large: of the arms, and of the default generator."""

    arms: Size
    world: World
    steps: int
    seeds: tuple[int, ...] = (0, 1, 2)
    smaller: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "toy": Preset(
        arms=Size(scenes=3, steps=2, crop=64, width=4, seeds=1),
        world=World(scenes=3, tile_size=64, scene_size=128), steps=2, seeds=(0, 1),
        smaller={"generator.base_width": 4, "generator.depth": 3, "batch_size": 2},
    ),
    "cpu": Preset(arms=Size(scenes=8, steps=300, crop=64, width=8, seeds=1), world=World(scenes=24), steps=700),
    "gpu": Preset(arms=Size(scenes=24, steps=3000, crop=128, width=16, seeds=3), world=World(scenes=96), steps=10_000),
}  # fmt: skip


def main() -> None:
    """Run the parts that are asked for and write down what they found."""
    parser = argparse.ArgumentParser(prog="python -m experiments.variety", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--results", type=Path, help="folder of results.json (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    path = (options.results or workshop.out / "variety") / "results.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    records = [Record(**cell) for cell in content.pop("cells", [])]
    origin = {**made(), "preset": options.preset}
    if "arms" in (options.part or PARTS):
        size = dataclasses.asdict(preset.arms)
        content["arms"] = {**origin, **size, "samples": SAMPLES, "rows": compare_arms(preset.arms)}
    if "seeds" in (options.part or PARTS):
        trained = cells(preset.world, preset.steps, preset.seeds, preset.smaller)
        records, rows = draw_scores(workshop, trained)
        content["seeds"] = {**origin, "samples": SAMPLES, "rows": rows}
        print(criteria_table(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_results(path, content, records)


if __name__ == "__main__":
    main()
