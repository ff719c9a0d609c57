"""From the tiles that the workers wrote to a whole dataset: splits, statistics, the two manifest files."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rsspade import __version__
from rsspade.data.manifest import SPLITS, DatasetFolder, DatasetInfo, TileRow, describe_source, split_sha256
from rsspade.data.splits import assign_splits
from rsspade.data.statistics import TileStatistics, combine_statistics
from rsspade.errors import InputError, explain
from rsspade.sources import Source

__all__ = ["finish_dataset", "made_by", "pack_record", "unpack_record"]


def pack_record(row: TileRow, statistics: dict[str, TileStatistics]) -> dict[str, Any]:
    """What a worker returns for a tile, as JSON."""
    return {"row": asdict(row), "statistics": statistics}


def unpack_record(record: dict[str, Any]) -> tuple[TileRow, dict[str, TileStatistics]]:
    """The other way round."""
    return TileRow(**record["row"]), record["statistics"]


def made_by(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The `made_by` entry of `dataset.json`."""
    return {"software": "rsspade", "version": __version__, "command": command, "arguments": arguments}


def finish_dataset(
    folder: Path,
    records: Iterable[dict[str, Any]],
    *,
    name: str,
    tile_size: int,
    pixel_size: float,
    sources: Sequence[Source],
    landcover_scheme: str,
    split_mode: str,
    split_ratio: tuple[float, float, float],
    seed: int,
    provenance: dict[str, Any],
    sun: dict[str, list[float]] | None = None,
) -> DatasetFolder:
    """Assign splits, remove the tiles that fall into a gap, sum the statistics, write the manifest."""
    unpacked = sorted((unpack_record(r) for r in records), key=lambda p: p[0].tile)
    if not unpacked:
        raise InputError(
            explain(
                name,
                expected="at least one tile with enough valid pixels",
                found="none",
                fix="Lower --min-valid or --tile-size, or check that the sources overlap.",
            )
        )
    rows = [row for row, _ in unpacked]
    split, rule = assign_splits(rows, size_m=tile_size * pixel_size, ratio=split_ratio, mode=split_mode, seed=seed)
    for row in rows:
        if row.tile not in split:
            for source in sources:
                (folder / source.folder / f"{row.tile}.tif").unlink(missing_ok=True)
    rows = [replace(row, split=split[row.tile]) for row in rows if row.tile in split]
    train = [statistics for row, statistics in unpacked if split.get(row.tile) == "train"]
    used = []
    for source in sources:
        with contextlib.suppress(OSError):
            (folder / source.folder).rmdir()  # an empty folder says nothing
        if (folder / source.folder).is_dir():
            used.append(source)
    counts = Counter(row.split for row in rows)
    info = DatasetInfo(
        name=name, tile_size=tile_size, pixel_size=pixel_size, sources={s.folder: describe_source(s) for s in used},
        landcover_scheme=landcover_scheme, statistics=combine_statistics(train),
        split={
            "mode": split_mode, "rule": rule, "ratio": list(split_ratio), "seed": seed,
            "tiles": {s: counts[s] for s in SPLITS}, "in_gaps": len(unpacked) - len(rows), "sha256": split_sha256(rows),
        },
        made_by=provenance, sun=sun or {},
    )  # fmt: skip
    DatasetFolder.write(folder, info, rows)
    return DatasetFolder(folder, info, rows)
