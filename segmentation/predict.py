"""`python -m segmentation.predict`: the land-cover map of a whole scene."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsspade import __version__
from rsspade.cli import Command, run_command
from rsspade.targets import refuse_target

__all__ = ["COMMAND", "main"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or its folder model")
    for name, what in (("s2", "the optical image"), ("s1", "Sentinel-1: vv and vh"), ("dem", "elevation in metres")):
        parser.add_argument(
            f"--{name}", nargs="+", type=Path, metavar="P", default=[],
            help=f"{what}; several paths tile the scene, or are its bands" if name == "s2" else f"{what}, where the network sees it",
        )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="MAP.tif", help="the GeoTIFF to write")
    parser.add_argument("--tile", type=int, default=256, metavar="PX", help="side of a tile (%(default)s)")
    parser.add_argument(
        "--overlap", type=int, default=64, metavar="PX", help="pixels that neighbouring tiles share (%(default)s)"
    )
    parser.add_argument(
        "--s2-offset", choices=("auto", "0", "-1000"), default="auto", help="to add to digital numbers (%(default)s)"
    )
    parser.add_argument(
        "--s1-unit", choices=("auto", "db", "power", "amplitude"), default="auto", help="of the input (%(default)s)"
    )


def _run(options: argparse.Namespace) -> int:
    import torch  # here, so that a wrong option is told at once

    from rsspade.synthesis.tiles import check_tiling
    from segmentation.models.checkpoint import Segmenter
    from segmentation.scene import draw_map, plan_map

    check_tiling(options.tile, options.overlap)
    refuse_target(options.out, suffix=".tif")
    model = Segmenter.from_pretrained(options.run, device="cuda" if torch.cuda.is_available() else "cpu")
    paths = {name: [p.absolute() for p in getattr(options, name)] for name in ("s2", "s1", "dem")}
    inputs = plan_map(paths, model.info, s2_offset=options.s2_offset, s1_unit=options.s1_unit)
    draw_map(
        options.out,
        model,
        inputs,
        tile=options.tile,
        overlap=options.overlap,
        arguments=_arguments(options, paths, model),
    )
    print(f"Wrote {options.out}: {inputs.grid.width}×{inputs.grid.height} px of {inputs.grid.pixel_size:g} m")
    return 0


def _arguments(options: argparse.Namespace, paths: dict[str, list[Path]], model: Any) -> dict[str, Any]:  # noqa: ANN401
    """All that the result depends on; where two files overlap, their order counts."""
    from rsspade.geo.prepare import fingerprint
    from rsspade.training.state import plain_tensors

    digest = hashlib.sha256(model.info.to_json().encode())
    for name, values in plain_tensors(model.network.state_dict()).items():
        digest.update(name.encode() + values.numpy().tobytes())
    return {
        "command": "segmentation.predict", "software": __version__, "network": digest.hexdigest(),
        "tile": options.tile, "overlap": options.overlap, "s2_offset": options.s2_offset, "s1_unit": options.s1_unit,
        "files": {name: [fingerprint(p) for p in own] for name, own in paths.items() if own},
    }  # fmt: skip


COMMAND = Command(
    summary="Draw the land-cover map of a whole scene: tiles overlap, their probabilities are blended.",
    example="python -m segmentation.predict --run maps --s2 scene.tif --out map.tif",
    configure=_configure,
    run=_run,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    return run_command("segmentation.predict", COMMAND, list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
