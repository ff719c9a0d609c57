"""The command `rsspade prepare`."""

import argparse
import os
import warnings
from pathlib import Path

from rsspade.cli import Command
from rsspade.data.manifest import safe_name
from rsspade.data.splits import MODES, parse_ratio
from rsspade.errors import InputError, RSSpadeWarning, check_seed, explain
from rsspade.geo.plan import PrepareOptions
from rsspade.geo.prepare import prepare_dataset
from rsspade.geo.scenes import INPUTS, SceneFiles, read_scenes
from rsspade.landcover import SCHEMES
from rsspade.sources import parse_optical_bands

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group(
        "one scene (several paths tile it, or are its bands; a folder stands for its rasters)"
    )
    one.add_argument("--s2", nargs="+", type=Path, metavar="P", default=[], help="Sentinel-2: GeoTIFFs or SAFE folders")
    one.add_argument("--s1", nargs="+", type=Path, metavar="P", default=[], help="Sentinel-1: vv and vh")
    one.add_argument("--lulc", nargs="+", type=Path, metavar="P", default=[], help="land cover")
    one.add_argument("--dem", nargs="+", type=Path, metavar="P", default=[], help="elevation in metres")
    one.add_argument(
        "--cloud-mask",
        nargs="+",
        type=Path,
        metavar="P",
        default=[],
        help="cloud mask (0 clear, 1 cloud, 2 shadow) or SCL; a SAFE folder brings its own",
    )
    one.add_argument(
        "--s1-date", default="", metavar="DATE", help="YYYY-MM-DD; default: from the file names where they tell"
    )
    one.add_argument(
        "--s2-date", default="", metavar="DATE", help="YYYY-MM-DD; default: from the file names where they tell"
    )
    many = parser.add_argument_group("many scenes")
    many.add_argument(
        "--scenes",
        type=Path,
        metavar="CSV",
        help="a table with the columns scene,s2,s1,lulc,dem,cloud_mask,s1_date,s2_date; several paths with ';'",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATASET", help="the dataset folder to make")
    parser.add_argument(
        "--s2-bands",
        default="blue,green,red,nir",
        metavar="LIST",
        help="optical bands to keep, in this order (default: %(default)s)",
    )
    parser.add_argument(
        "--tile-size", type=int, default=256, metavar="PX", help="side of a tile (default: %(default)s)"
    )
    parser.add_argument("--stride", type=int, metavar="PX", help="from tile to tile (default: the tile size)")
    parser.add_argument("--pixel-size", type=float, metavar="M", help="metres (default: 10, or that of --grid)")
    parser.add_argument(
        "--grid",
        type=Path,
        metavar="P",
        help="a raster whose grid is used (default: that of the optical scene, where it is UTM)",
    )
    parser.add_argument("--landcover-scheme", choices=sorted(SCHEMES), help="of the input (default: dynamic_world)")
    parser.add_argument("--landcover-to", choices=sorted(SCHEMES), help="of the dataset (default: the same)")
    parser.add_argument(
        "--s1-unit",
        choices=("auto", "db", "power", "amplitude"),
        default="auto",
        help="of the input (default: %(default)s)",
    )
    parser.add_argument(
        "--s2-offset",
        choices=("auto", "0", "-1000"),
        default="auto",
        help="to add to the digital numbers (default: %(default)s)",
    )
    parser.add_argument(
        "--min-valid",
        type=float,
        default=0.9,
        metavar="F",
        help="share of pixels of a tile at which all sources hold data; 0 for all tiles with one such pixel (default: %(default)s)",
    )
    parser.add_argument("--split", default="7:2:1", metavar="R", help="train:val:test (default: %(default)s)")
    parser.add_argument(
        "--split-mode",
        choices=MODES,
        default="scene",
        help="whole scenes, blocks of each, or random tiles, which leak (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes on this machine (default: one per core)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on this Dask cluster instead, such as tcp://host:8786"
    )


def _run(options: argparse.Namespace) -> int:
    scenes = _scenes(options)
    scheme = options.landcover_scheme or "dynamic_world"
    if options.landcover_scheme is None and any(s.paths.get("lulc") for s in scenes):
        warnings.warn(
            "the land cover is taken to be in Dynamic World's classes; name its scheme with --landcover-scheme.",
            RSSpadeWarning,
            stacklevel=2,
        )
    check_seed(options.seed)
    if options.workers is not None and options.workers < 1:
        raise InputError(
            explain("--workers", expected="1 or more", found=str(options.workers), fix="Correct the option.")
        )
    if options.grid is not None and options.pixel_size is not None:
        raise InputError(
            explain(
                "--pixel-size", expected="no such option beside --grid", found="both", fix="The grid brings its own."
            )
        )
    settings = PrepareOptions(
        s2_bands=parse_optical_bands(options.s2_bands), tile_size=options.tile_size, stride=options.tile_size if options.stride is None else options.stride,
        pixel_size=10.0 if options.pixel_size is None else options.pixel_size, landcover_scheme=scheme, landcover_to=options.landcover_to or scheme, s1_unit=options.s1_unit,
        s2_offset=options.s2_offset, min_valid=options.min_valid, grid_like=str(options.grid.absolute()) if options.grid else "",
    )  # fmt: skip
    dataset = prepare_dataset(
        options.out, scenes, settings, split_ratio=parse_ratio(options.split), split_mode=options.split_mode, seed=options.seed,
        workers=options.workers or _cores(), scheduler=options.scheduler,
    )  # fmt: skip
    counts = dataset.info.split["tiles"]
    gaps = dataset.info.split["in_gaps"]
    print(
        f"Wrote {options.out}: {len(dataset.rows)} tiles of {dataset.info.tile_size} px ({', '.join(f'{n} {s}' for s, n in counts.items())})"
        + (f"; {gaps} more lay in the gaps between splits and were left out" if gaps else "")
    )
    return 0


def _cores() -> int:
    """The cores that this process may use; not every system tells, and then those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scenes(options: argparse.Namespace) -> list[SceneFiles]:
    flags = {i: tuple(p.absolute() for p in getattr(options, i)) for i in INPUTS}
    if options.scenes is not None:
        if any(flags.values()) or options.s1_date or options.s2_date:
            raise InputError(
                explain(
                    "--scenes",
                    expected="a table instead of the files of one scene",
                    found="both",
                    fix="Use one or the other.",
                )
            )
        return read_scenes(options.scenes)
    named = next((paths[0] for paths in flags.values() if paths), None)
    if named is None:
        raise InputError(
            explain(
                "prepare",
                expected="--scenes, or at least one of --s2, --s1, --lulc, --dem",
                found="none",
                fix="See `rsspade prepare --help`.",
            )
        )
    return [SceneFiles(name=safe_name(named.stem), paths=flags, s1_date=options.s1_date, s2_date=options.s2_date)]


COMMAND = Command(
    summary="Make a training dataset from GeoTIFF scenes: one common grid, physical units, leak-proof splits.",
    example="rsspade prepare --s2 s2.tif --s1 s1.tif --lulc worldcover.tif --dem dem.tif --landcover-scheme worldcover --out my-dataset",
    configure=_configure,
    run=_run,
)
