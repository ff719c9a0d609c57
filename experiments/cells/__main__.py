"""The worker of one cell: `python -m experiments.cells OUT KEY --question JSON ..`; the runner starts it."""

import argparse
import json
import sys
from pathlib import Path

from experiments.cells.cell import Cell, Question
from experiments.cells.runner import Workshop
from experiments.cells.work import work_on


def main() -> int:
    """One cell from its `cell.json` to its `record.json`."""
    parser = argparse.ArgumentParser(prog="python -m experiments.cells", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("key")
    parser.add_argument("--question", action="append", metavar="JSON", default=[])
    options = parser.parse_args()
    workshop = Workshop(options.out)
    asked = json.loads((options.out / "cells" / options.key / "cell.json").read_text(encoding="utf-8"))
    work_on(workshop, Cell.from_json(asked), [Question.from_json(text) for text in options.question])
    return 0


if __name__ == "__main__":
    sys.exit(main())
