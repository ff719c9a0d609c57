"""The datasets that cells are trained on: worlds, parts of worlds, and what generators make of them."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from experiments.cells.cell import World
from rsspade.data.assemble import made_by
from rsspade.data.manifest import DatasetFolder
from rsspade.data.statistics import combine_statistics, tile_statistics
from segmentation.labels import chosen_tiles, labelled_tiles, open_tiles

__all__ = ["keep_images", "make_synthetic", "make_world"]


def make_world(world: World, out: Path, *, workers: int) -> None:
    """As `rsspade world`."""
    command = [sys.executable, "-m", "rsspade", "world", str(out), *world.arguments, "--workers", str(workers)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def keep_images(
    whole: DatasetFolder, out: Path, *, share: float, seed: int, by: Literal["tile", "scene"] = "tile"
) -> None:
    """A second folder with the files of a share of the training tiles, and of all others: hard links where possible.

    The tiles are those that `segmentation.train --labels SHARE --labels_by BY --labels_seed SEED` leaves. The others stay in `tiles.csv`,
    so that the split and its hash are the same, but no file of theirs is there to be seen by mistake.
    """
    tiles = open_tiles(whole, "train", ("s2",), random_crops=False)
    usable = labelled_tiles(tiles)
    rows = [tiles.rows[n] for n in usable]
    kept = {rows[n].tile for n in chosen_tiles(rows, share, seed, by=by)}
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for folder in whole.info.sources:
        (partial / folder).mkdir(parents=True)
        for row in whole.rows:
            file = whole.path / folder / f"{row.tile}.tif"
            if (row.split != "train" or row.tile in kept) and file.is_file():
                _link(file, partial / folder / file.name)
    known = [name for name in ("s2", "s1", "lulc", "dem") if whole.source(name).folder in whole.info.sources]
    statistics = combine_statistics([
        {whole.source(name).folder: tile_statistics(whole.read(name, tile), whole.source(name)) for name in known if whole.has(name, tile)}
        for tile in sorted(kept)
    ])  # fmt: skip
    info = dataclasses.replace(
        whole.info, name=f"{whole.info.name}, {len(kept)} training tiles", statistics=statistics,
        made_by={**made_by("keep_images", {"share": share, "seed": seed, "by": by}), "parent": whole.info.made_by},
    )  # fmt: skip
    DatasetFolder.write(partial, info, whole.rows)
    partial.rename(out)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(file, target)


def make_synthetic(
    weights: Path, data: Path, out: Path, *, samples: int, residuals: int = 0, donors: Path | None = None
) -> None:
    """As `rsspade generate --split train`: images of all training tiles; residuals, if any, of the tiles of `donors`."""
    from rsspade.models import RSSpade
    from rsspade.synthesis.generate import generate
    from rsspade.synthesis.generate_plan import GenerateOptions, make_plan
    from rsspade.synthesis.generate_processes import make_accelerator
    from rsspade.synthesis.provenance import Origin

    model = RSSpade.from_pretrained(weights)
    origin = Origin.of(weights, model.info)
    lender = None if donors is None else DatasetFolder.open(donors)
    options = GenerateOptions(samples=samples, residuals=residuals)
    plan = make_plan(options, model, origin, DatasetFolder.open(data), donors=lender)
    generate(plan, out, make_accelerator())
