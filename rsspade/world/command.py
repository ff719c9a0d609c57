"""`rsspade world`: a dataset from nothing but a seed."""

import argparse
from pathlib import Path

from rsspade.cli import Command
from rsspade.world.build import WorldOptions, build_world
from rsspade.world.variants import VARIANTS

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    default = WorldOptions()
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder to make")
    parser.add_argument("--scenes", type=int, default=default.scenes, metavar="N", help="how many scenes (%(default)s)")
    parser.add_argument(
        "--tile-size", type=int, default=default.tile_size, metavar="PX", help="side of a tile (%(default)s)"
    )
    parser.add_argument("--scene-size", type=int, metavar="PX", help="side of a scene, a multiple of the tile size (512, or the nearest multiple)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=default.seed, help="another seed, another world (%(default)s)")
    parser.add_argument("--clouds", type=float, default=default.clouds, metavar="F",
                        help="share of pixels under cloud in S2_CLOUDY; S2 stays the clear truth (%(default)s)")  # fmt: skip
    parser.add_argument("--oracle", action="store_true", help="also write the best possible answer, ORACLE/TILE.tif")
    parser.add_argument("--variant", default=default.variant, metavar="|".join(VARIANTS),
                        help="parameter set; b has other spectra, relief and speckle (%(default)s)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; the bytes do not depend on it (%(default)s)")  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    # Without the option a tile size that does not divide 512 gets the nearest scene that it does divide.
    tile = max(options.tile_size, 1)
    scene_size = options.scene_size if options.scene_size is not None else max(round(512 / tile), 1) * tile
    world = WorldOptions(
        scenes=options.scenes, tile_size=options.tile_size, scene_size=scene_size, seed=options.seed,
        clouds=options.clouds, oracle=options.oracle, variant=options.variant,
    )  # fmt: skip
    made = build_world(options.dataset, world, workers=options.workers)
    split = made.info.split["tiles"]
    shares = ", ".join(f"{split[name]} {name}" for name in split)
    print(f"Wrote {made.path}: {len(made.rows)} tiles of {world.tile_size} px from {world.scenes} scenes ({shares})")
    return 0


COMMAND = Command(
    summary="Make a dataset from the built-in world: procedural landscapes, the same for the same seed.",
    example="rsspade world demo-data --scenes 6 --tile-size 128 --clouds 0.3 --oracle",
    configure=_configure,
    run=_run,
)
