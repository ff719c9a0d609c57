"""`rsspade scene`: a whole scene as one cloud-optimised GeoTIFF, or a real one with its clouds filled."""

import argparse
import warnings
from datetime import date
from pathlib import Path
from typing import Any

from rsspade import __version__
from rsspade.cli import Command
from rsspade.errors import ConfigError, RSSpadeWarning, check_seed, explain
from rsspade.landcover import SCHEMES
from rsspade.sources import CONDITIONS
from rsspade.targets import refuse_target

__all__ = ["COMMAND"]

_OUTPUTS = ("mean", "std")
_DRAWS = 8


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or a generator folder")
    for name, what in (("s1", "Sentinel-1: vv and vh"), ("lulc", "land cover"), ("dem", "elevation in metres")):
        parser.add_argument(
            f"--{name}", nargs="+", type=Path, metavar="P", default=[], help=f"{what}; several paths tile the scene"
        )
    parser.add_argument("--out", type=Path, required=True, metavar="SCENE.tif", help="the GeoTIFF to write")
    parser.add_argument("--tile", type=int, default=256, metavar="PX", help="side of a tile (%(default)s)")
    parser.add_argument(
        "--overlap", type=int, default=64, metavar="PX", help="pixels that neighbouring tiles share (%(default)s)"
    )
    parser.add_argument(
        "--grid", type=Path, metavar="P",
        help="a raster on whose grid the scene is wanted (that of --fill, else of the first source in the order s1, lulc, dem)",
    )  # fmt: skip
    parser.add_argument(
        "--fill", type=Path, metavar="CLOUDY.tif", help="keep the clear pixels of this image, fill the others"
    )
    parser.add_argument("--mask", type=Path, metavar="MASK.tif", help="on its pixels: 0 clear, anything else is filled")
    parser.add_argument(
        "--outputs", default="mean", metavar="mean,std", help="std adds the spread over the samples (%(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, metavar="N", help=f"images to draw; 1 is the deterministic one (1, with std {_DRAWS})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples (%(default)s)")
    parser.add_argument(
        "--date", default="", metavar="YYYY-MM-DD",
        help="of the image wanted, for a generator that was trained with --season or --sun (that of --fill, else of the radar)",
    )  # fmt: skip
    parser.add_argument("--landcover-scheme", choices=sorted(SCHEMES), help="of the input (that of the generator)")
    parser.add_argument(
        "--s1-unit", choices=("auto", "db", "power", "amplitude"), default="auto", help="of the input (%(default)s)"
    )
    parser.add_argument(
        "--s2-offset",
        choices=("auto", "0", "-1000"),
        default="auto",
        help="to add to the numbers of --fill (%(default)s)",
    )


def _run(options: argparse.Namespace) -> int:
    outputs, samples = _chosen_outputs(options)
    check_seed(options.seed)
    _refuse_half_a_fill(options)
    _refuse_no_date(options.date)
    import torch  # here, so that a wrong option is told at once

    from rsspade.evaluation import find_generator
    from rsspade.models import RSSpade
    from rsspade.synthesis.fill import plan_fill
    from rsspade.synthesis.provenance import Origin
    from rsspade.synthesis.scene import SceneOptions, make_scene
    from rsspade.synthesis.scene_inputs import plan_inputs
    from rsspade.synthesis.tiles import check_tiling

    check_tiling(options.tile, options.overlap)
    refuse_target(options.out, suffix=".tif")
    folder = find_generator(options.run)
    model = RSSpade.from_pretrained(folder, device="cuda" if torch.cuda.is_available() else "cpu")
    if samples > 1 and not model.has_variety:
        raise ConfigError(
            explain("--samples", expected="1, since this generator was trained without variety", found=str(samples),
                    fix="Leave it out, or train with variety.")
        )  # fmt: skip
    if options.date and not model.info.architecture.told:
        warnings.warn(
            "--date has no effect: this generator was trained without --season and --sun.", RSSpadeWarning, stacklevel=2
        )
    paths = {name: [p.absolute() for p in getattr(options, name)] for name in CONDITIONS}
    bands = model.info.architecture.optical_bands
    fill = None if options.fill is None else plan_fill(options.fill, options.mask, bands, options.s2_offset)
    inputs = plan_inputs(
        paths, model.info, grid=options.grid or options.fill, scheme=options.landcover_scheme, s1_unit=options.s1_unit
    )
    if fill is not None and fill.grid != inputs.grid:
        raise ConfigError(
            explain(
                "--grid",
                expected=f"the grid of {options.fill}, whose pixels are kept",
                found="another",
                fix="Leave --grid out.",
            )
        )
    origin = Origin.of(folder, model.info)
    tags = origin.tags(sources=inputs.sources, seed=options.seed, sample=1, samples=samples)
    if fill is not None:
        tags |= {
            "synthetic": "where the mask is not 0 or the image holds no data",
            "filled": options.fill.name,
            "mask": options.mask.name,
        }
    filled = make_scene(
        options.out, model, inputs,
        SceneOptions(tile=options.tile, overlap=options.overlap, samples=samples, with_spread="std" in outputs, seed=options.seed, date=options.date),
        arguments=_arguments(options, paths, origin.to_json(), outputs, samples), tags=tags, fill=fill,
    )  # fmt: skip
    model.warn_of_unseen()
    size = (
        f"{inputs.grid.width}×{inputs.grid.height} px of {inputs.grid.pixel_size:g} m from {', '.join(inputs.sources)}"
    )
    if filled is not None:
        size += f", {filled.kept:.1%} of the pixels kept from {options.fill.name}, {filled.filled:.1%} filled"
        size += f", {filled.empty:.1%} empty, where no source holds a value" if filled.empty else ""
    print(f"Wrote {options.out}: {size}")
    return 0


def _chosen_outputs(options: argparse.Namespace) -> tuple[set[str], int]:
    outputs = {part.strip() for part in options.outputs.split(",")}
    if "mean" not in outputs or not outputs <= set(_OUTPUTS):
        raise ConfigError(
            explain("--outputs", expected="mean or mean,std", found=repr(options.outputs), fix="Correct the option.")
        )
    samples = options.samples if options.samples is not None else _DRAWS if "std" in outputs else 1
    if samples < 1 or ("std" in outputs and samples < 2):
        least = "2, to have a spread" if "std" in outputs else "1"
        raise ConfigError(
            explain("--samples", expected=f"at least {least}", found=str(samples), fix="Correct the option.")
        )
    return outputs, samples


def _refuse_half_a_fill(options: argparse.Namespace) -> None:
    if (options.fill is None) != (options.mask is None):
        given, missing = ("--fill", "--mask") if options.mask is None else ("--mask", "--fill")
        raise ConfigError(
            explain(missing, expected=f"a file beside {given}", found="none", fix="Name both, or neither.")
        )


def _refuse_no_date(text: str) -> None:
    try:
        date.fromisoformat(text or "2000-01-01")
    except ValueError as err:
        raise ConfigError(
            explain("--date", expected="a date as YYYY-MM-DD", found=repr(text), fix="Correct it.")
        ) from err


def _arguments(
    options: argparse.Namespace,
    paths: dict[str, list[Path]],
    generator: dict[str, Any],
    outputs: set[str],
    samples: int,
) -> dict[str, Any]:
    """All that the result depends on; where two files overlap, their order counts."""
    from rsspade.geo.prepare import fingerprint

    files = {name: own for name, own in paths.items() if own}
    files |= {
        n: [p.absolute()] for n, p in (("grid", options.grid), ("fill", options.fill), ("mask", options.mask)) if p
    }
    settings = {
        n: getattr(options, n) for n in ("tile", "overlap", "seed", "landcover_scheme", "s1_unit", "s2_offset", "date")
    }
    return {
        "command": "scene", "software": __version__, "generator": generator,
        "settings": settings | {"outputs": sorted(outputs), "samples": samples},
        "inputs": {name: [[str(p), fingerprint(p)] for p in own] for name, own in files.items()},
    }  # fmt: skip


COMMAND = Command(
    summary="Paint a whole scene as one cloud-optimised GeoTIFF; or fill the clouds of a real image.",
    example="rsspade scene --run run --s1 s1.tif --lulc lulc.tif --dem dem.tif --fill cloudy.tif --mask clouds.tif --out clear.tif",
    configure=_configure,
    run=_run,
)
