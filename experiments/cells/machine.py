"""What a result was made on and with: machine, date, code, libraries, and the same of the trainings it rests on."""

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rsspade

if TYPE_CHECKING:  # what has no cells loads nothing of them
    from experiments.cells.cell import Record

__all__ = ["commit", "machine", "made", "origin", "versions"]

LIBRARIES = ("torch", "numpy", "scikit-learn", "scipy", "rasterio")
"""Those that decide about numbers."""


def machine() -> str:
    """Cores and architecture: enough to compare times."""
    return f"{os.cpu_count()} cores, {platform.machine()}"


def commit() -> str:
    """Of the code; empty outside a checkout."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def versions() -> dict[str, str]:
    """Of the project, Python, and the libraries."""
    own = {"rsspade": rsspade.__version__, "python": platform.python_version()}
    return own | {name: importlib.metadata.version(name) for name in LIBRARIES}


def made(records: Sequence["Record"] = ()) -> dict[str, Any]:
    """For `results.json`: where and when it was written, and where the trainings are from that it rests on."""
    here = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "commit": commit(), "versions": versions()}
    if not records:
        return here
    by_date = sorted(records, key=lambda record: record.date)
    commits = list(dict.fromkeys(record.commit for record in by_date if record.commit))
    return here | {"trainings": {"first": by_date[0].date, "last": by_date[-1].date, "commits": commits}}


def origin(conclusions: Mapping[str, Any]) -> str:
    """What `made` says, for the head of a table."""
    libraries = ", ".join(f"{name} {version}" for name, version in conclusions.get("versions", {}).items())
    text = ", ".join(part for part in (conclusions["date"], conclusions["machine"], libraries) if part)
    trained = conclusions.get("trainings")
    if trained:
        text += f"; trainings of {trained['first']} to {trained['last']} at commits {', '.join(trained['commits'])}"
    return text
