"""`python -m experiments.scene`: seams, memory, and filled clouds.

Each part prints its numbers and keeps them in `results.json` beside the README (or in --json FILE).
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from experiments.cells.machine import made
from experiments.scene.filling import measure_filling
from experiments.scene.memory import measure_memory, write_generator, write_mask
from experiments.scene.seams import measure_seams
from experiments.speed.full_scene import write_full_scene
from rsspade.cli import main as rsspade
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade
from rsspade.synthesis.scene import SceneOptions
from rsspade.synthesis.scene_inputs import plan_inputs

HERE = Path(__file__).parent
TINY = {"base_width": 2, "depth": 2, "embedding_width": 2, "full_width": 2, "modulate": "all"}


def seams(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Four tile grids on one scene of the built-in world; and with tiles that do not overlap, which must fail."""
    model = RSSpade.from_pretrained(find_generator(options.run))
    world = _world(
        folder / "seams", "--scenes", "1", "--scene-size", str(options.side), "--tile-size", str(options.side)
    )
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


def fill(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Clouded scenes of the built-in world that no training has seen."""
    world = _world(
        folder / "clouds",
        "--scenes",
        "6",
        "--scene-size",
        "512",
        "--tile-size",
        "512",
        "--clouds",
        "0.3",
        "--seed",
        str(options.seed),
    )
    found = measure_filling(options.run, options.data, world, folder)
    for name, row in {**found["tiles"], "mean": found["mean"]}.items():
        print(
            f"fill      {name}: {row['gap']:.0%} filled; error of the class mean {row['class_mean']:.4f}, plain {row['plain']:.4f}, filled {row['filled']:.4f}"
        )
    print(
        f"fill      clear values changed: {found['clear_pixels_changed']}; {'passes' if found['passes'] else 'fails'}"
    )
    return found


def memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A full scene with a tiny generator; a small one with the default generator, and what that means for a full one."""
    tiny, default = write_generator(folder / "tiny", **TINY), write_generator(folder / "default")
    files = write_full_scene(folder / "full", options.full_side)
    full = measure_memory(tiny, files, folder / "full.tif", side=options.full_side, tile=options.full_tile)
    print(f"memory    {_told(full)} (tiny generator, measured)")
    side = 1024
    small = write_full_scene(folder / "small", side)
    rows = {
        f"{name} {tile}": measure_memory(run, small, folder / f"{name}-{tile}.tif", side=side, tile=tile)
        for name, run in (("tiny", tiny), ("default", default))
        for tile in (256, options.full_tile)
    }
    for name, row in rows.items():
        print(f"memory    {_told(row)} ({name.split()[0]} generator, measured)")
    guess = {
        tile: full["peak_mb"] + rows[f"default {tile}"]["peak_mb"] - rows[f"tiny {options.full_tile}"]["peak_mb"]
        for tile in (256, options.full_tile)
    }
    for tile, peak in guess.items():
        print(
            f"memory    {options.full_side}×{options.full_side} px, tile {tile}: {peak} MB (default generator, extrapolated)"
        )
    return {"full": full, "small": rows, "extrapolated_mb": guess}


def fill_memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A full clouded image, filled by a tiny generator, in tiles of the size that `memory` measures."""
    tiny, side = write_generator(folder / "tiny", **TINY), options.full_side
    files = write_full_scene(folder / "full", side)
    mask = write_mask(files["s2"], folder / "mask.tif")
    row = measure_memory(tiny, files, folder / "filled.tif", side=side, tile=options.full_tile, mask=mask)
    print(f"memory    {_told(row)} (clouds filled, tiny generator, measured)")
    return {"full": row}


def _told(row: dict[str, Any]) -> str:
    return f"{row['side']}×{row['side']} px, tile {row['tile']}: peak {row['peak_mb']} MB"


def _world(folder: Path, *arguments: str) -> Path:
    if rsspade(["world", str(folder), *arguments]) != 0:
        raise SystemExit("no world")
    return folder


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.scene", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"seams": seams, "fill": fill, "memory": memory, "fill-memory": fill_memory}
    parser.add_argument("--part", choices=parts, action="append", help="only this one; may be repeated (all)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained generator (seams, fill)")
    parser.add_argument("--data", type=Path, metavar="DATASET", help="what it was trained on (fill)")
    parser.add_argument("--side", type=int, default=1024, help="of the scene for seams (%(default)s)")
    parser.add_argument("--seed", type=int, default=5, help="of the clouded world (%(default)s)")
    parser.add_argument("--full-side", type=int, default=10_980, help="of the scene for memory (%(default)s)")
    parser.add_argument("--full-tile", type=int, default=1024, help="of its tiles (%(default)s)")
    parser.add_argument(
        "--json", type=Path, default=HERE / "results.json", metavar="FILE", help="where the numbers are kept"
    )
    options = parser.parse_args()
    chosen = options.part or list(parts)
    if (options.run is None and {"seams", "fill"} & set(chosen)) or (options.data is None and "fill" in chosen):
        parser.error("seams wants --run, fill wants --run and --data")
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        for part in chosen:
            results[part] = parts[part](options, Path(name)) | made()
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"Wrote {options.json}")


if __name__ == "__main__":
    main()
