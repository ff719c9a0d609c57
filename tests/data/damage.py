"""Ways to spoil a dataset, and to see what `check` says of it."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from rsspade.data.check import check_dataset
from rsspade.data.check_report import Finding, Level

from rsspade.data.manifest import split_sha256, DatasetFolder  # isort: skip


def change_pixels(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the pixels of a tile, and nothing else."""
    with rasterio.open(path, "r+") as tile:
        values = tile.read()
        tile.write(change(values.copy()).astype(values.dtype))


def rewrite(path: Path, **profile: Any) -> None:
    """Write a tile anew with another profile; bands and descriptions stay."""
    with rasterio.open(path) as tile:
        values, descriptions, old = tile.read(), tile.descriptions, tile.profile
    if "transform" in profile and callable(profile["transform"]):
        profile["transform"] = profile["transform"](old["transform"])
    new = {**old, **profile}
    path.unlink()
    with rasterio.open(path, "w", **new) as tile:
        tile.write(values.astype(new["dtype"]))
        tile.descriptions = descriptions


def change_rows(folder: Path, change: Callable[[dict[str, str]], None], *, keep_sha: bool = False) -> None:
    """Edit the lines of tiles.csv; the split's hash follows unless it is kept."""
    with (folder / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with (folder / "tiles.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if not keep_sha:
        sha = split_sha256(DatasetFolder.open(folder).rows)
        change_info(folder, lambda info: info["split"].update(sha256=sha))


def change_info(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit dataset.json."""
    info = json.loads((folder / "dataset.json").read_text())
    change(info)
    (folder / "dataset.json").write_text(json.dumps(info))


def findings(folder: Path, least: Level = Level.WARNING) -> dict[str, Finding]:
    """What `check` says, by the name of the check, from that level on."""
    return {f.check: f for f in check_dataset(folder).findings if f.level >= least}


def failures(folder: Path) -> dict[str, Finding]:
    """What `check` fails."""
    return findings(folder, Level.FAIL)


def names_only(finding: Finding, expected: Sequence[str]) -> bool:
    """Whether a finding names exactly these places (each may go on with an explanation)."""
    return sorted(p.split(" ")[0] for p in finding.places) == sorted(expected)
