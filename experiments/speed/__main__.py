"""`python -m experiments.speed`: our models against each other, scenes, reading, metrics, making datasets.

Figures are ratios within one run, alternating where two things are compared. What is measured is kept in OUT/results.json,
part by part, so that a long run can be made in pieces; OUT/RESULTS.md is the table. A part that is measured again replaces
its numbers.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.cells.machine import machine, made
from experiments.cells.tables import table
from experiments.speed.data import measure_prepare, measure_world, rsspade
from experiments.speed.plan import PRESETS, Preset
from experiments.speed.report import report, rows
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.memory import keep_freed_memory

PARTS = ("world", "prepare", "reading", "metrics", "models", "memory", "scene")


def measure(preset: Preset, parts: tuple[str, ...], folder: Path) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """What is to be done for each part; torch loads only for those that need it."""
    data, scene = folder / "data", folder / "scene-world"
    if {"reading", "models", "memory", "scene"} & set(parts):
        rsspade("world", data, "--scenes", preset.scenes, "--tile-size", preset.tile, "--scene-size", 2 * preset.tile)
    if "scene" in parts:
        rsspade("world", scene, "--scenes", 1, "--tile-size", preset.scene, "--scene-size", preset.scene)

    def reading() -> dict[str, Any]:
        from experiments.speed.reading import measure_reading

        return measure_reading(data, rounds=preset.rounds)

    def metrics() -> dict[str, Any]:
        from experiments.speed.metrics import measure_metrics

        return measure_metrics(tiles=preset.scored, side=preset.tile, rounds=preset.rounds)

    def models() -> dict[str, Any]:
        from experiments.speed.models import measure_models

        return measure_models(data, preset)

    def memory() -> dict[str, Any]:
        from experiments.speed.memory import measure_memory

        return measure_memory(data, preset)

    def scenes() -> dict[str, Any]:
        from experiments.speed.scene import measure_scene

        return measure_scene(data, scene, folder / "painted", preset)

    return {
        "world": lambda: measure_world(folder, scenes=preset.worlds, rounds=preset.rounds),
        "prepare": lambda: measure_prepare(folder, side=preset.prepared),
        "reading": reading, "metrics": metrics, "models": models, "memory": memory, "scene": scenes,
    }  # fmt: skip


def use_device(name: str) -> str:
    """Make it the one that everything sees, child processes too; its name for people."""
    if name == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
        return machine()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("experiments.speed: --device cuda: expected a GPU, found none. Use --device cpu.")
    return f"{machine()}, {torch.cuda.get_device_name()}"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m experiments.speed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--preset", choices=tuple(PRESETS), default="cpu", help="how large (%(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where the networks run (cpu; of gpu cuda)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated (all)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/speed"), metavar="DIR", help="for results (%(default)s)"
    )
    options = parser.parse_args()
    preset, parts = PRESETS[options.preset], tuple(dict.fromkeys(options.part or PARTS))
    where = use_device(options.device or preset.device)
    keep_freed_memory()  # as the programs do whose work is measured
    path = options.out / "results.json"
    options.out.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        for part, work in measure(preset, parts, Path(name)).items():
            if part not in parts:
                continue
            found = {**work(), **made(), "machine": where}
            own = {**results.get(options.preset, {}), part: found}
            results[options.preset] = {p: own[p] for p in PARTS if p in own}
            print(table(("what", "measured", "ratio"), list(rows({part: found}))).split("\n", 2)[2], end="", flush=True)
            write_bytes_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    write_bytes_atomically(options.out / "RESULTS.md", report(results).encode())
    print(f"Wrote {path} and RESULTS.md")


if __name__ == "__main__":
    main()
