"""The command `rsspade check`."""

import argparse
import json
from pathlib import Path

from rsspade.cli import Command
from rsspade.data.check import check_dataset
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.jobs import disk_errors
from rsspade.targets import refuse_target

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument(
        "--run", metavar="RUN", type=Path, help="a trained run: does it fit the dataset, and had it seen it?"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report there as JSON, too")


def _run(options: argparse.Namespace) -> int:
    if options.json is not None:
        refuse_target(options.json)  # said before the work, not after it
    report = check_dataset(options.dataset, run=options.run)
    print(report.to_text())
    if options.json is not None:
        content = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        with disk_errors(options.json):
            write_bytes_atomically(options.json, content.encode())
        print(f"Wrote {options.json}")
    return 1 if report.failed else 0


COMMAND = Command(
    summary="Read a dataset as a sceptic: files, grid, units, nodata, classes, alignment, split leaks. Exit 1 when something is wrong.",
    example="rsspade check demo-data --json report.json",
    configure=_configure,
    run=_run,
)
