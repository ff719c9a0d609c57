"""A packed, memory-mapped copy of a dataset: what training reads instead of thousands of small GeoTIFFs.

One plain `.npy` per source, (tiles, bands, H, W) in physical units and in the dtype of the dataset, so that a
random crop touches few pages and nothing has to be decompressed; beside them `index.json`. Nothing is rounded:
half precision would lose 1e-4 of reflectance, and scores must not depend on whether the copy is there.

The copy lies in `DATASET/.packed/`, and where that cannot be written in the user's cache. It is made on first
use, made again when the tiles or their description change, and safe to delete at any time. A copy that does not
fit its index is not trusted but made again; nothing in it is ever unpickled.
"""

import json
import os
import re
import shutil
import warnings
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from rsspade.data.packing import PACKED_SOURCES, Contents, list_contents, write_copy
from rsspade.data.readers.base import TileReader
from rsspade.errors import OutputError, RSSpadeWarning, explain
from rsspade.jobs import disk_errors

__all__ = ["PackedTiles", "open_packed"]

_MAX_INDEX_BYTES = 256 * 1024 * 1024
_DTYPES = ("float32", "uint8")
_COPY_NAME = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True, slots=True)
class PackedIndex:
    """`index.json` of a copy."""

    fingerprint: str
    tiles: list[str]
    height: int
    width: int
    classes: int
    arrays: dict[str, dict[str, Any]]
    statistics: dict[str, Any]

    def __post_init__(self) -> None:
        whole = all(isinstance(n, int) and n > 0 for n in (self.height, self.width, self.classes))
        if not whole or not all(isinstance(t, str) for t in self.tiles):
            raise ValueError("size or names")
        for name, entry in self.arrays.items():
            bands = entry["bands"]
            if name not in PACKED_SOURCES or entry["dtype"] not in _DTYPES or not isinstance(bands, int) or bands < 1:
                raise ValueError(name)
            for flags in (entry["present"], entry["whole"]):
                if len(flags) != len(self.tiles) or set(flags) - {"0", "1"}:
                    raise ValueError(f"flags of {name}")

    def to_json(self) -> str:
        """As stored."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


class PackedTiles:
    """An open copy.

    Attributes:
        tiles: The names, in the order of the first axis of every array.
        size: Height and width of each tile.
        present: Source -> (tiles,) bool: whether the tile holds at least one valid pixel of it.
        whole: Source -> (tiles,) bool: whether every pixel of it is valid, so that nobody need look again.
        class_counts: (tiles, classes + 1) pixels per class, the last column unlabelled.
        clear_share: (tiles,) share of pixels with a clear optical value.
        statistics: Of the train split, as in `dataset.json`.
    """

    def __init__(self, folder: Path, index: PackedIndex) -> None:
        self.folder = folder
        self.tiles = tuple(index.tiles)
        self.size = (index.height, index.width)
        self.statistics = index.statistics
        self.present = {name: _flags(entry["present"]) for name, entry in index.arrays.items()}
        self.whole = {name: _flags(entry["whole"]) for name, entry in index.arrays.items()}
        self._shapes = {
            name: (entry["dtype"], (len(index.tiles), entry["bands"], index.height, index.width))
            for name, entry in index.arrays.items()
        }
        tiles = len(index.tiles)
        self.class_counts = np.array(_map(folder / "class_counts.npy", "int64", (tiles, index.classes + 1)))
        self.clear_share = np.array(_map(folder / "clear_share.npy", "float32", (tiles,)))
        self._arrays: dict[str, np.ndarray] = {}
        for name in self._shapes:
            self.array(name)  # finds out now, not in the middle of training, whether each file is whole

    def array(self, name: str) -> np.ndarray:
        """All tiles of a source, (tiles, bands, H, W), mapped and read-only."""
        if name not in self._arrays:
            self._arrays[name] = _map(self.folder / f"{name}.npy", *self._shapes[name])
        return self._arrays[name]

    def num_bands(self, name: str) -> int:
        """How many bands a source has; 0 where no tile holds it."""
        return self._shapes[name][1][1] if name in self._shapes else 0

    def __getstate__(self) -> dict[str, Any]:
        # A mapped array would be pickled as its content: loader workers map the files again instead.
        return {**self.__dict__, "_arrays": {}}


def _flags(text: str) -> np.ndarray:
    return np.asarray(np.frombuffer(text.encode(), np.uint8) == ord("1"))


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Map a `.npy` only if it is what the index says; numpy itself refuses pickles and files that are too short."""
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{path} is not as its index says")
    return np.asarray(array)


def open_packed(reader: TileReader, *, cache: Path | None = None) -> PackedTiles:
    """Open the packed copy of a collection of tiles; make it first where there is none that fits.

    Args:
        reader: A `DatasetFolder` or the reader of a public dataset.
        cache: Where the copy shall lie; by default beside the tiles, else in `RSSPADE_CACHE` or the user's cache.
    """
    contents = list_contents(reader)
    places = _places(reader.path, cache)
    name = contents.fingerprint[:20]
    for place in (reader.path / ".packed", *places):
        if (packed := _open(place / name, contents)) is not None:
            return packed
    for number, place in enumerate(places):
        if not _writable(place):
            continue
        if number > 0:
            warnings.warn(
                f"{places[0]} cannot be written; the packed copy of the dataset lies in {place}. "
                "Set RSSPADE_CACHE to have it elsewhere.",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip
        # Two runs that start together: one builds, the other waits here and then finds it done.
        with FileLock(place / "lock"):
            if (packed := _open(place / name, contents)) is None:
                with disk_errors(place):
                    _build(reader, contents, place, name)
                packed = _open(place / name, contents)
        if packed is None:
            raise OutputError(
                explain(place / name, expected="the packed copy just written", found="one that cannot be read back",
                        fix="Check the disk, or set RSSPADE_CACHE to a folder on another one.")
            )  # fmt: skip
        return packed
    raise OutputError(
        explain(" and ".join(map(str, places)), expected="a folder that can be written", found="none",
                fix="Set RSSPADE_CACHE to one.")
    )  # fmt: skip


def _places(path: Path, cache: Path | None) -> list[Path]:
    """Where the copy may lie, best first."""
    key = f"{path.resolve().name}-{sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if cache is not None:
        return [cache / key]
    if chosen := os.environ.get("RSSPADE_CACHE"):
        return [Path(chosen) / key]
    general = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [path / ".packed", general / "rsspade" / "packed" / key]


def _writable(place: Path) -> bool:
    # A dataset may come from anybody: a link in it must not lead our writing and removing elsewhere.
    if place.is_symlink() or (place / "lock").is_symlink():
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / "lock").touch()
    except OSError:
        return False
    return True


def _open(folder: Path, contents: Contents) -> PackedTiles | None:
    """The copy in that folder, or None where there is none that can be trusted."""
    path = folder / "index.json"
    try:
        if path.stat().st_size > _MAX_INDEX_BYTES:
            return None
        index = PackedIndex(**json.loads(path.read_text(encoding="utf-8")))
        if index.fingerprint != contents.fingerprint or index.tiles != list(contents.tiles):
            return None
        return PackedTiles(folder, index)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _build(reader: TileReader, contents: Contents, place: Path, name: str) -> None:
    building = place / "building"
    shutil.rmtree(building, ignore_errors=True)  # of a run that was killed: we hold the lock
    building.mkdir()
    try:
        size, arrays, statistics = write_copy(reader, contents, building)
        index = PackedIndex(
            contents.fingerprint, list(contents.tiles), *size, len(reader.scheme.classes), arrays, statistics
        )
        (building / "index.json").write_text(index.to_json(), encoding="utf-8")
        _remove_others(place)
        building.rename(place / name)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _remove_others(place: Path) -> None:
    """Earlier copies in this place; who still has one mapped keeps reading it."""
    for folder in place.iterdir():
        if _COPY_NAME.fullmatch(folder.name) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
