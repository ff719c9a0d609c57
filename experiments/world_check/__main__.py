"""`python -m experiments.world_check`: measure the world, beside real tiles where RSSPADE_REAL_DATA names them."""

import argparse
import datetime as dt
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from tqdm import tqdm

from experiments.world_check.measures import Patch, class_mean_image, class_table, scores, structure_table
from experiments.world_check.report import as_markdown
from experiments.world_check.sheet import draw_sheet
from rsspade.landcover import find_map, scheme_named
from rsspade.world.build import WorldOptions, build_world
from rsspade.world.scene import SceneSpec, make_scene
from rsspade.world.variants import VARIANTS, WORLD_VERSION

HERE = Path(__file__).parent
PRESETS = {"toy": (3, 256), "cpu": (24, 512), "gpu": (24, 512)}
FROZEN: Mapping[str, Any] = {"scenes": 6, "tile_size": 64, "scene_size": 128, "seed": 7, "clouds": 0.3, "oracle": True}
"""The small world whose pixel hash is held by a test: one scene of each kind of landscape."""

REAL_OFFSETS = {"433D_629L_3_1": -1000}
"""Digital numbers to add, by tile; the other real tiles were published without an offset."""


def main() -> None:
    """Read the options, measure, write the numbers and the text."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m experiments.world_check --preset toy --out check"
    )
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--variant", choices=VARIANTS, default="a")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for results.json and RESULTS.md (%(default)s)")
    parser.add_argument("--contact-sheet", type=Path, metavar="PNG", help="only draw the contact sheet")
    parser.add_argument("--scenes", default="0,8,7,9,4", help="of the contact sheet (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="side of a picture of the contact sheet (%(default)s)")
    options = parser.parse_args()
    if options.contact_sheet:
        indices = [int(part) for part in options.scenes.split(",")]
        draw_sheet(options.contact_sheet, scenes=indices, size=options.size, seed=options.seed, variant=options.variant)
        print(options.contact_sheet)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    results = measure(options.preset, options.variant, options.seed)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "RESULTS.md").write_text(as_markdown(results), encoding="utf-8")
    print(as_markdown(results))
    print(options.out / "results.json", options.out / "RESULTS.md", sep="\n")


def measure(preset: str, variant: str, seed: int) -> dict[str, Any]:
    """All numbers."""
    count, size = PRESETS[preset]
    patches, ceilings = [], []
    for index in tqdm(range(count), desc="scenes", disable=None):
        scene = make_scene(SceneSpec(seed=seed, variant=variant, index=index, size=size))
        patches.append(
            Patch(
                f"{index} {scene.conditions.landscape}", scene.images["s2"], scene.images["s1"], scene.images["lulc"][0]
            )
        )
        ceilings.append(scores(scene.images["s2"], scene.images["oracle"]))
    floors = [scores(p.s2, guess) for p, guess in zip(patches, class_mean_image(patches), strict=True)]
    real = list(real_patches())
    return {
        "world": {"version": WORLD_VERSION, "variant": variant, "seed": seed, "scenes": count, "scene_size": size},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "frozen": {"options": FROZEN, "pixel_sha256": {name: frozen_hash(name) for name in VARIANTS}},
        "oracle": _summary(ceilings), "class_mean": _summary(floors),
        "oracle_by_scene": {p.name: c["psnr"] for p, c in zip(patches, ceilings, strict=True)},
        "classes": class_table(patches), "structure": structure_table(patches),
        "real_tiles": [p.name for p in real],
        "real_classes": class_table(real), "real_structure": structure_table(real) if real else {},
    }  # fmt: skip


def frozen_hash(variant: str) -> str:
    """The pixel hash of the small fixed world."""
    with tempfile.TemporaryDirectory() as folder:
        made = build_world(Path(folder) / "frozen", WorldOptions(**FROZEN, variant=variant))
    return str(made.info.made_by["world"]["pixel_sha256"])


def real_patches() -> Iterator[Patch]:
    """The TerraMesh tiles, if the environment names the folder that holds them; numbers leave it, pictures never."""
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        return
    to_dynamic_world = find_map("terramesh", "dynamic_world")
    for path in sorted((Path(root) / "terramesh" / "S2L2A").glob("*.tif")):
        folder = path.parent.parent
        with rasterio.open(path) as src:
            digital = src.read([2, 3, 4, 8]).astype(np.float64)
        with rasterio.open(folder / "S1RTC" / path.name) as src:
            radar = src.read()
        with rasterio.open(folder / "LULC" / path.name) as src:
            raw = scheme_named("terramesh").normalise(src.read(1), path)
        cover = raw if to_dynamic_world is None else to_dynamic_world.apply(raw)
        yield Patch(path.stem, (digital + REAL_OFFSETS.get(path.stem, 0)) / 10_000, radar, cover)


def _summary(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}


if __name__ == "__main__":
    main()
