"""The command `rsspade report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rsspade.cli import Command
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.jobs import disk_errors
from rsspade.targets import refuse_target

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders, or generator folders")
    parser.add_argument("--out", type=Path, required=True, metavar="P.html", help="the page")
    parser.add_argument(
        "--data", type=Path, metavar="DATASET", help="score on its test split (the dataset of each run)"
    )


def _run(options: argparse.Namespace) -> int:
    refuse_target(options.out, suffix=".html")
    from rsspade.report.build import build_page  # torch and matplotlib load where they are used
    from rsspade.report.page import render

    runs: Sequence[Path] = options.runs
    content = render(build_page(runs, options.data))
    with disk_errors(options.out):
        write_bytes_atomically(options.out, content)
    print(f"Wrote {options.out}")
    return 0


COMMAND = Command(
    summary="Make a page of one or more runs: scores, pictures, spectra, curves, in one HTML file that needs no network.",
    example="rsspade report my-run other-run --data my-dataset --out report.html",
    configure=_configure,
    run=_run,
)
