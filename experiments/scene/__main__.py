"""`python -m experiments.scene`: seams, memory, and filled clouds.

Each part prints its numbers and keeps them in `results.json`, beside those of other parts that are there. The generator is
a small one, trained here where --out does not hold it yet; with --run and --data it is one of yours.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cells.cell import Cell, Question, World
from experiments.cells.machine import made
from experiments.cells.results import add_options, open_workshop
from experiments.cells.runner import Workshop
from experiments.cells.work import work_on
from experiments.scene.filling import measure_filling
from experiments.scene.memory import measure_memory, write_generator, write_mask
from experiments.scene.seams import measure_seams
from experiments.speed.full_scene import write_full_scene
from rsspade.cli import main as rsspade
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade
from rsspade.synthesis.scene import SceneOptions
from rsspade.synthesis.scene_inputs import plan_inputs

TINY = {"base_width": 2, "depth": 2, "embedding_width": 2, "full_width": 2, "modulate": "all"}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of the experiment.

    Attributes:
        world: What the generator is trained on.
        options: Of that training.
        side: Of the scene for seams.
        clouded: How many clouded scenes, and their side.
        full: Side of the scene for memory, and of its tiles.
        small: Side of the scene on which the default generator is measured.
    """

    world: World
    options: Mapping[str, Any]
    side: int
    clouded: tuple[int, int]
    full: tuple[int, int]
    small: int


_OPTIONS = {"lr": 2e-3, "loss.adversarial": 0.0, "seed": 0}
PRESETS: Mapping[str, Preset] = {
    "toy": Preset(
        world=World(scenes=3, tile_size=64, scene_size=128),
        options={**_OPTIONS, "steps": 4, "batch_size": 2, "generator.base_width": 4, "generator.depth": 3},
        side=384, clouded=(2, 128), full=(640, 256), small=256,
    ),
    "cpu": Preset(
        world=World(), options={**_OPTIONS, "steps": 700}, side=1024, clouded=(6, 512), full=(10_980, 1024), small=1024,
    ),
    "gpu": Preset(
        world=World(scenes=96), options={**_OPTIONS, "steps": 6000, "batch_size": 16}, side=2048, clouded=(24, 512),
        full=(10_980, 1024), small=1024,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Generator:
    """A run, and the dataset it was trained on."""

    run: Path
    data: Path


def seams(generator: Generator, preset: Preset, folder: Path, seed: int) -> dict[str, Any]:
    """Four tile grids on one scene of the built-in world; and with tiles that do not overlap, which must fail."""
    del seed  # of the clouds alone
    model = RSSpade.from_pretrained(find_generator(generator.run))
    world = _world(folder / "seams", "--scenes", 1, "--scene-size", preset.side, "--tile-size", preset.side)
    paths = {name: list((world / name.upper()).glob("*.tif")) for name in model.info.sources}
    inputs = plan_inputs(paths, model.info, scheme="dynamic_world")
    found = {}
    for name, chosen in (("default", SceneOptions()), ("no overlap", SceneOptions(overlap=0))):
        found[name] = measure_seams(model, inputs, chosen)
    if model.has_variety:
        # A draw and its mirror image: their mean is the image itself, their spread is what was drawn.
        found["what is drawn"] = measure_seams(model, inputs, SceneOptions(samples=2, with_spread=True))
    for name, row in found.items():
        print(f"seams     {name}: gradient at borders {row['gradient']:+.3f}, between grids mean {row['mean']:.5f}, 99.9th percentile {row['tail']:.4f}: "
              f"{'passes' if row['passes'] else 'fails'}")  # fmt: skip
    return found


def fill(generator: Generator, preset: Preset, folder: Path, seed: int) -> dict[str, Any]:
    """Clouded scenes of the built-in world that no training has seen."""
    scenes, side = preset.clouded
    size = ("--scene-size", side, "--tile-size", side)
    world = _world(folder / "clouds", "--scenes", scenes, *size, "--clouds", 0.3, "--seed", seed)
    found = measure_filling(generator.run, generator.data, world, folder)
    for name, row in {**found["tiles"], "mean": found["mean"]}.items():
        print(
            f"fill      {name}: {row['gap']:.0%} filled; error of the class mean {row['class_mean']:.4f}, plain {row['plain']:.4f}, filled {row['filled']:.4f}"
        )
    print(
        f"fill      clear values changed: {found['clear_pixels_changed']}; {'passes' if found['passes'] else 'fails'}"
    )
    return found


def memory(generator: Generator, preset: Preset, folder: Path, seed: int) -> dict[str, Any]:
    """A full scene with a tiny generator."""
    del generator, seed  # untrained ones cost as much
    side, tile = preset.full
    tiny, files = write_generator(folder / "tiny", **TINY), write_full_scene(folder / "full", side)
    full = measure_memory(tiny, files, folder / "full.tif", side=side, tile=tile)
    print(f"memory    {_told(full)} (tiny generator, measured)")
    return {"full": full}


def small_memory(generator: Generator, preset: Preset, folder: Path, seed: int) -> dict[str, Any]:
    """A small scene with a tiny and with the default generator: what the latter takes more on any scene."""
    del generator, seed
    runs = {"tiny": write_generator(folder / "tiny", **TINY), "default": write_generator(folder / "default")}
    files = write_full_scene(folder / "small", preset.small)
    rows = {
        f"{name} {tile}": measure_memory(run, files, folder / f"{name}-{tile}.tif", side=preset.small, tile=tile)
        for name, run in runs.items()
        for tile in dict.fromkeys((256, preset.full[1]))
    }
    for name, row in rows.items():
        print(f"memory    {_told(row)} ({name.split()[0]} generator, measured)")
    return rows


def extrapolate(results: Mapping[str, Any]) -> dict[str, int]:
    """Tile -> peak of a full scene with the default generator, from parts of the same preset; empty where one is not there."""
    full, small = results.get("memory", {}), results.get("small-memory", {})
    if not full or full.get("preset") != small.get("preset"):
        return {}
    peaks = {name: row["peak_mb"] for name, row in small.items() if isinstance(row, dict) and "peak_mb" in row}
    more = {
        name.split()[1]: peak - peaks[f"tiny {full['full']['tile']}"]
        for name, peak in peaks.items()
        if name.startswith("default")
    }
    return {tile: full["full"]["peak_mb"] + own for tile, own in more.items()}


def fill_memory(generator: Generator, preset: Preset, folder: Path, seed: int) -> dict[str, Any]:
    """A full clouded image, filled by a tiny generator, in tiles of the size that `memory` measures."""
    del generator, seed
    side, tile = preset.full
    tiny, files = write_generator(folder / "tiny", **TINY), write_full_scene(folder / "full", side)
    mask = write_mask(files["s2"], folder / "mask.tif")
    row = measure_memory(tiny, files, folder / "filled.tif", side=side, tile=tile, mask=mask)
    print(f"memory    {_told(row)} (clouds filled, tiny generator, measured)")
    return {"full": row}


PARTS = {"seams": seams, "fill": fill, "memory": memory, "small-memory": small_memory, "fill-memory": fill_memory}


def _told(row: dict[str, Any]) -> str:
    return f"{row['side']}×{row['side']} px, tile {row['tile']}: peak {row['peak_mb']} MB"


def _world(folder: Path, *arguments: object) -> Path:
    if rsspade(["world", str(folder), *map(str, arguments)]) != 0:
        raise SystemExit("no world")
    return folder


def trained(workshop: Workshop, preset: Preset) -> Generator:
    """The small generator; trained where its weights are not there."""
    cell = Cell(preset.world, preset.options)
    workshop.run([cell], [Question("test")])
    work_on(workshop, cell, ())  # where it is known by its record alone
    return Generator(workshop.weights(cell), workshop.dataset(preset.world))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.scene", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated (all)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained generator, instead of the small one")
    parser.add_argument("--data", type=Path, metavar="DATASET", help="what it was trained on")
    parser.add_argument("--seed", type=int, default=5, help="of the clouded world (%(default)s)")
    parser.add_argument("--results", type=Path, help="folder of results.json (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    if (options.run is None) != (options.data is None):
        parser.error("--run and --data go together")
    workshop, preset, chosen = open_workshop(options), PRESETS[options.preset], options.part or list(PARTS)
    if options.run is not None:
        generator = Generator(options.run, options.data)
    elif {"seams", "fill"} & set(chosen):
        generator = trained(workshop, preset)
    else:
        generator = Generator(Path(), Path())
    path = (options.results or workshop.out / "scene") / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part in chosen:
        with tempfile.TemporaryDirectory() as name:
            found = PARTS[part](generator, preset, Path(name), options.seed)
        results[part] = {**found, **made(), "preset": options.preset}
        results["extrapolated_mb"] = extrapolate(results)
        write_bytes_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    for tile, peak in results["extrapolated_mb"].items():
        print(
            f"memory    {results['memory']['full']['side']} px, tile {tile}: {peak} MB (default generator, extrapolated)"
        )
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
