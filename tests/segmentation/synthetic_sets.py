"""Synthetic datasets as `rsspade generate` lays them out, sound or spoilt."""

import shutil
from dataclasses import replace

from rsspade.data.manifest import DatasetFolder


def write_synthetic(real, path, *, samples=1, change=lambda row: row, **info):
    """A synthetic dataset as `rsspade generate` lays it out; `change` may spoil its rows, `info` its description."""
    folder = DatasetFolder.open(real)
    rows = []
    for row in folder.in_split("train"):
        for n in range(samples):
            stem = row.tile if samples == 1 else f"{row.tile}__n{n + 1:02d}"
            rows.append(change(replace(row, tile=stem, synthetic=True, parent=row.tile, parent_split="train")))
            for source in folder.info.sources:
                (path / source).mkdir(parents=True, exist_ok=True)
                shutil.copy(real / source / f"{row.tile}.tif", path / source / f"{stem}.tif")
    sha = folder.info.split["sha256"]
    made_by = {"command": "generate", "parent": {"split_sha256": sha}, "generator": {"split_sha256": sha}}
    DatasetFolder.write(path, replace(folder.info, **{"made_by": made_by} | info), rows)
    return path
