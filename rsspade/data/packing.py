"""Making the packed copy: which files there are, and writing them tile by tile into one array per source.

The arrays are written, never mapped, while they grow: on a full disk a write fails with an error that can be
reported, where a mapped page would kill the process. What a tile does not hold stays a hole in the file.
"""

import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsspade.data.readers.base import TileReader
from rsspade.data.statistics import TileStatistics, combine_statistics, tile_statistics
from rsspade.errors import InputError, OutputError, explain
from rsspade.progress import progress_bar

__all__ = ["PACKED_SOURCES", "Contents", "clear_pixels", "list_contents", "write_copy"]

PACKED_SOURCES = ("s2", "s1", "lulc", "dem", "s2_cloudy", "cloud")
_VERSION = 2
_MEMORY = 256 * 1024 * 1024
"""Bytes of tiles that are held in memory while packing, if that is more than one tile."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a collection holds: source -> (tiles,) whether the file is there; and the hash of all of it."""

    tiles: tuple[str, ...]
    files: dict[str, list[bool]]
    fingerprint: str


def list_contents(reader: TileReader) -> Contents:
    """Look at every file's size and time, but into none."""
    tiles = tuple(row.tile for row in reader.rows)
    digest = sha256(json.dumps([_VERSION, reader.settings, reader.optical_bands], sort_keys=True).encode())
    files: dict[str, list[bool]] = {}
    for name in PACKED_SOURCES:
        there = []
        for tile in tiles:
            try:
                status = reader.tile_path(name, tile).stat()
            except OSError:
                there.append(False)
                continue
            there.append(True)
            digest.update(f"{name}/{tile}:{status.st_size}:{status.st_mtime_ns}\n".encode())
        if any(there):
            files[name] = there
    digest.update("\n".join(f"{row.tile},{row.split}" for row in reader.rows).encode())
    return Contents(tiles, files, digest.hexdigest())


def clear_pixels(optical: np.ndarray, cloud: np.ndarray | None, *, cloudy_apart: bool) -> np.ndarray:
    """Where an optical image can teach: all bands valid, neither cloud nor shadow. (bands, H, W) -> (H, W).

    Where a clouded image of the same place is stored apart, the mask describes that one, and this one is clear.
    """
    good = np.isfinite(optical).all(axis=0)
    if cloud is not None and not cloudy_apart:
        good &= (cloud[0] != 1) & (cloud[0] != 2)
    return np.asarray(good)


@dataclass(frozen=True, slots=True)
class _Tile:
    number: int
    values: dict[str, np.ndarray]
    present: dict[str, bool]
    whole: dict[str, bool]
    class_counts: np.ndarray
    clear_share: float
    statistics: dict[str, TileStatistics]


def _read(reader: TileReader, contents: Contents, number: int) -> _Tile:
    tile = contents.tiles[number]
    values = {}
    for name, there in contents.files.items():
        if there[number]:
            source = reader.source(name)
            values[name] = np.ascontiguousarray(reader.read(name, tile), dtype=source.dtype)
            if values[name].ndim != 3 or len(values[name]) != len(source.bands):
                found = f"an array {values[name].shape}"
                raise InputError(explain(reader.tile_path(name, tile), expected=f"{len(source.bands)} bands", found=found,
                                         fix="Make the tile again."))  # fmt: skip
    scheme = reader.scheme
    counts = np.zeros(len(scheme.classes) + 1, np.int64)
    if "lulc" in values:
        counts += np.bincount(scheme.indices(values["lulc"]).ravel(), minlength=len(counts))
    clear = 0.0
    if "s2" in values:
        clear = float(clear_pixels(values["s2"], values.get("cloud"), cloudy_apart="s2_cloudy" in values).mean())
    valid = {name: reader.source(name).valid(v) for name, v in values.items()}
    return _Tile(
        number, values, {n: bool(v.any()) for n, v in valid.items()}, {n: bool(v.all()) for n, v in valid.items()}, counts,
        clear, {reader.source(n).folder: tile_statistics(v, reader.source(n)) for n, v in values.items()},
    )  # fmt: skip


def _read_all(reader: TileReader, contents: Contents, tile_bytes: int) -> Iterator[_Tile]:
    """In order, a few at a time: decompression runs beside writing, memory stays bounded."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        numbers = iter(range(len(contents.tiles)))
        while chunk := list(itertools.islice(numbers, max(1, min(64, _MEMORY // tile_bytes)))):
            yield from pool.map(lambda n: _read(reader, contents, n), chunk)


def write_copy(
    reader: TileReader, contents: Contents, folder: Path
) -> tuple[tuple[int, int], dict[str, dict[str, Any]], dict[str, Any]]:
    """Write every array into a new folder; returns the tile size, the entries of the index, the statistics."""
    height, width = _tile_size(reader, contents)
    entries: dict[str, dict[str, Any]] = {}
    needed = tile_bytes = 0
    for name, there in contents.files.items():
        source = reader.source(name)
        entries[name] = {"dtype": source.dtype, "bands": len(source.bands)}
        one = len(source.bands) * height * width * np.dtype(source.dtype).itemsize
        tile_bytes += one
        needed += sum(there) * one
    _check_space(folder, needed)
    present: dict[str, list[bool]] = {name: [] for name in entries}
    whole: dict[str, list[bool]] = {name: [] for name in entries}
    counts, clear, train = [], [], []
    splits = [row.split for row in reader.rows]
    with ExitStack() as stack, progress_bar(total=len(contents.tiles), title="packing") as bar:
        files = {n: stack.enter_context(_open_array(folder / f"{n}.npy", e, len(contents.tiles), height, width))
                 for n, e in entries.items()}  # fmt: skip
        starts = {name: file.tell() for name, file in files.items()}
        for tile in _read_all(reader, contents, tile_bytes):
            for name, values in tile.values.items():
                if values.shape[1:] != (height, width):
                    raise InputError(
                        explain(reader.tile_path(name, contents.tiles[tile.number]), expected=f"{height}×{width} pixels, as the first tile has",
                                found=f"{values.shape[1]}×{values.shape[2]}", fix="Keep tiles of one size in a dataset.")
                    )  # fmt: skip
                files[name].seek(starts[name] + tile.number * values.nbytes)
                files[name].write(values.data)
            for name in entries:
                present[name].append(tile.present.get(name, False))
                whole[name].append(tile.whole.get(name, False))
            counts.append(tile.class_counts)
            clear.append(tile.clear_share)
            if splits[tile.number] == "train":
                train.append(tile.statistics)
            bar.update(1)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())  # the folder gets its final name next: its content must be there by then
    for name, entry in entries.items():
        entry["present"], entry["whole"] = ("".join("01"[f] for f in flags[name]) for flags in (present, whole))
    np.save(folder / "class_counts.npy", np.stack(counts), allow_pickle=False)
    np.save(folder / "clear_share.npy", np.array(clear, np.float32), allow_pickle=False)
    return (height, width), entries, reader.settings.get("statistics") or combine_statistics(train)


def _tile_size(reader: TileReader, contents: Contents) -> tuple[int, int]:
    for name, there in contents.files.items():
        shape = np.shape(reader.read(name, contents.tiles[there.index(True)]))
        return shape[1], shape[2]
    raise InputError(explain(reader.path, expected="at least one tile", found="none", fix="Is this the right folder?"))


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            explain(folder, expected=f"{needed / 1e9:.1f} GB of free space for the packed copy", found=f"{free / 1e9:.1f} GB",
                    fix="Free some, or set RSSPADE_CACHE to a folder on another disk.")
        )  # fmt: skip


def _open_array(path: Path, entry: dict[str, Any], tiles: int, height: int, width: int) -> BinaryIO:
    """A `.npy` of its full length, all holes, standing at its first value."""
    shape = (tiles, entry["bands"], height, width)
    file = path.open("wb")
    np.lib.format.write_array_header_2_0(
        file, {"descr": np.dtype(entry["dtype"]).str, "fortran_order": False, "shape": shape}
    )
    file.truncate(file.tell() + np.dtype(entry["dtype"]).itemsize * math.prod(shape))
    return file
