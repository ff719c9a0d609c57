"""A public dataset as a dataset folder: the same tiles in our units and layout, the official splits kept."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsspade.data.assemble import made_by, pack_record, unpack_record
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import SPLITS, DatasetFolder, DatasetInfo, TileRow, describe_source, split_sha256
from rsspade.data.readers.base import PublicReader
from rsspade.data.statistics import combine_statistics, tile_statistics
from rsspade.errors import InputError, explain
from rsspade.jobs import open_job, run_units

__all__ = ["convert"]


def convert(reader: PublicReader, out: Path) -> DatasetFolder:
    """Write every tile of a public dataset as a dataset folder; interrupted, the same call continues.

    A source without one valid pixel in a tile is left out of that tile.
    """
    scenes: dict[str, list[str]] = defaultdict(list)
    for row in reader.rows:
        scenes[row.scene].append(row.tile)
    arguments = {"dataset": reader.name, "optical_bands": list(reader.optical_bands), **reader.settings,
                 "split_sha256": split_sha256_of(reader)}  # fmt: skip
    with open_job(out, arguments) as partial:
        units = [(scene, (reader, tiles)) for scene, tiles in sorted(scenes.items())]
        results = run_units(partial, units, _convert_scene, title=reader.name)
        _finish(partial, reader, [record for result in results.values() for record in result["tiles"]], arguments)
    return DatasetFolder.open(out)


def split_sha256_of(reader: PublicReader) -> str:
    """The identity of the reader's split, as `split_sha256` has it for datasets."""
    rows = [TileRow(tile=r.tile, scene=r.scene, split=r.split, crs="", x_min=0, y_max=0, valid_fraction=1) for r in reader.rows]  # fmt: skip
    return split_sha256(rows)


def _convert_scene(partial: Path, reader: PublicReader, tiles: Sequence[str]) -> dict[str, Any]:
    return {"tiles": [record for tile in tiles if (record := _convert_tile(partial, reader, tile)) is not None]}


def _convert_tile(partial: Path, reader: PublicReader, tile: str) -> dict[str, Any] | None:
    place = reader.georeference(tile)
    valid = np.ones((place.height, place.width), bool)
    statistics = {}
    for name in reader.source_names:
        if not reader.has(name, tile):
            continue
        source, values = reader.source(name), reader.read(name, tile)
        if values.shape[1:] != valid.shape or place.height != place.width:
            raise InputError(
                explain(reader.tile_path(name, tile), expected=f"a square of {place.height} pixels, as in the tile's other sources",
                        found=f"{values.shape[1]}×{values.shape[2]}", fix="Download the tile again.")
            )  # fmt: skip
        good = source.valid(values)
        if not good.any():
            continue
        valid &= good
        (partial / source.folder).mkdir(exist_ok=True)
        write_tile(
            partial / source.folder / f"{tile}.tif", values, source, crs=place.crs, transform=place.transform,
            colormap=reader.scheme.colormap() if name == "lulc" else None,
        )  # fmt: skip
        statistics[source.folder] = tile_statistics(values, source)
    if not statistics:
        return None
    known = reader.tiles[tile]
    row = TileRow(
        tile=tile, scene=known.scene, split=known.split, crs=place.crs.to_string(), x_min=place.transform.c,
        y_max=place.transform.f, valid_fraction=float(valid.mean()), s1_date=known.s1_date, s2_date=known.s2_date,
    )  # fmt: skip
    return {**pack_record(row, statistics), "grid": [place.height, abs(place.transform.a)]}


def _finish(partial: Path, reader: PublicReader, records: Sequence[dict[str, Any]], arguments: dict[str, Any]) -> None:
    grids = {(int(r["grid"][0]), round(float(r["grid"][1]), 6)) for r in records}
    if len(grids) != 1:
        found = ", ".join(f"{size} px of {pixel:g} m" for size, pixel in sorted(grids)) or "no tile with data"
        raise InputError(explain(reader.path, expected="tiles of one size", found=found, fix="Convert them apart."))
    ((tile_size, pixel_size),) = grids
    tiles = [unpack_record(r) for r in sorted(records, key=lambda r: str(r["row"]["tile"]))]
    rows = [row for row, _ in tiles]
    used = [s for s in map(reader.source, reader.source_names) if (partial / s.folder).is_dir()]
    counts = Counter(row.split for row in rows)
    info = DatasetInfo(
        name=reader.name, tile_size=tile_size, pixel_size=pixel_size, sources={s.folder: describe_source(s) for s in used},
        landcover_scheme=reader.scheme.name,
        statistics=combine_statistics([sums for row, sums in tiles if row.split == "train"]),
        split={"mode": "official", "rule": f"the official splits of {reader.name}", "tiles": {s: counts[s] for s in SPLITS},
               "sha256": split_sha256(rows)},
        made_by=made_by("convert", arguments),
    )  # fmt: skip
    DatasetFolder.write(partial, info, rows)
