"""`results.json`: the cells of an experiment and what was concluded, so that anyone can go on from them."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Record
from experiments.cells.runner import Workshop
from rsspade.data.geotiff import write_bytes_atomically

__all__ = ["add_options", "at_least_one", "earlier_results", "open_workshop", "write_results"]

MEASURED = ("step_times", "image_costs")
"""What is measured once and kept beside the cells, in files of these names."""


def at_least_one(text: str) -> int:
    """A number of seeds, of a command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {number}")
    return number


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all experiments on cells share."""
    parser.add_argument("--preset", choices=("toy", "cpu", "gpu"), default="cpu", help="how large (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/experiments"),
        help="where cells are kept, shared by all experiments (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=1, help="cells at a time, one thread each; 0: in this process (%(default)s)"
    )
    parser.add_argument(
        "--reuse", type=Path, nargs="*", default=[], metavar="RESULTS.json",
        help="take the cells of these files as done, such as those in the repository",
    )  # fmt: skip


def open_workshop(options: argparse.Namespace) -> Workshop:
    """The workshop of a command line, with the cells that it takes over."""
    workshop = Workshop(options.out / options.preset, workers=options.workers)
    workshop.out.mkdir(parents=True, exist_ok=True)
    for path in options.reuse:
        content = json.loads(path.read_text(encoding="utf-8"))
        taken = workshop.take_over(content["cells"])
        for name in MEASURED:
            kept = workshop.out / f"{name}.json"
            if name in content and not kept.is_file():
                kept.write_text(json.dumps(content[name], indent=1) + "\n", encoding="utf-8")
        print(f"{path}: {taken} of {len(content['cells'])} cells taken over")
    return workshop


def write_results(path: Path, conclusions: Mapping[str, Any], records: Sequence[Record]) -> None:
    """Keep the conclusions and, once each, the cells they rest on."""
    cells = {record.cell.key: record.to_json() for record in records}
    content = {**conclusions, "cells": [cells[key] for key in sorted(cells)]}
    write_bytes_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"Wrote {path}")


def earlier_results(path: Path, preset: str) -> dict[str, Any]:
    """What an earlier call of the same preset concluded there, perhaps on a machine that had weights which are not here.

    A picture that it drew beside them stands: its trainings are the first of the same plan.
    """
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if content.get("preset") == preset else {}
