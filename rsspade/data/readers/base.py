"""What a collection of tiles must offer so that it can be packed, trained on and converted.

`TileReader` is met by `DatasetFolder` as it is, and by the readers of public datasets beside this file. A reader
yields physical units only; offsets, scales, class ids and file names of a public dataset stay inside it.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from rsspade.data.geotiff import refuse_large
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme, scheme_named
from rsspade.sources import SENTINEL2_PRODUCT_NAMES, Source, source_named
from rsspade.sun import UNKNOWN

__all__ = [
    "Georeference", "PublicReader", "PublicTile", "TileEntry", "TileReader",
    "names_in", "optical_indices", "radar_db", "read_georeference", "read_raw",
]  # fmt: skip


class TileEntry(Protocol):
    """What is known of a tile without opening its files."""

    @property
    def tile(self) -> str:
        """Its name, unique and safe as a file name."""

    @property
    def scene(self) -> str:
        """The scene it was cut from."""

    @property
    def split(self) -> str:
        """`train`, `val` or `test`."""

    @property
    def s1_date(self) -> str:
        """ISO date of the radar image; empty where unknown."""

    @property
    def s2_date(self) -> str:
        """ISO date of the optical image; empty where unknown."""


class TileReader(Protocol):
    """A collection of tiles of one size, each holding some of the sources."""

    @property
    def path(self) -> Path:
        """The folder it lies in."""

    @property
    def rows(self) -> Sequence[TileEntry]:
        """The tiles, in a fixed order."""

    @property
    def optical_bands(self) -> tuple[str, ...]:
        """The optical bands that `read` yields; empty where there is no optical source."""

    @property
    def scheme(self) -> Scheme:
        """Of the land-cover ids."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything beside the files on which the values of `read` depend, as JSON."""

    def sun(self, tile: str) -> tuple[float, float]:
        """Azimuth and elevation of the sun in the optical image, degrees; NaN where unknown."""

    def source(self, name: str) -> Source:
        """The source as this collection holds it."""

    def tile_path(self, name: str, tile: str) -> Path:
        """Where that source of that tile lies, or would lie."""

    def read(self, name: str, tile: str) -> Any:  # noqa: ANN401 (an array; kept loose for callers' dtypes)
        """The source of a tile in physical units, (bands, H, W); NaN, or 255 for ids, where there is nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicTile:
    """A tile of a public dataset."""

    tile: str
    scene: str
    split: str
    s1_date: str = ""
    s2_date: str = ""


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where the pixels of a tile lie."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.crs.to_string()}, upper left {self.transform.c:.1f}, {self.transform.f:.1f}, pixels of {self.transform.a:g} m"

    def is_that_of(self, other: "Georeference") -> bool:
        """Whether pixels of both lie on each other, to half a pixel."""
        half = abs(other.transform.a) / 2
        ends = [(0, 0), (self.width, self.height)]
        apart = [abs(a - b) for end in ends for a, b in zip(self.transform * end, other.transform * end, strict=True)]
        return bool(self.crs == other.crs and max(apart) < half)


class PublicReader(ABC):
    """Reader of a public dataset: a `TileReader` that also says where its tiles lie.

    Attributes:
        name: Of the dataset.
        source_names: The sources that its tiles may hold.
    """

    name: ClassVar[str]
    source_names: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, rows: Sequence[PublicTile], *, optical_bands: Sequence[str], scheme: str) -> None:
        self.path = path
        self.rows = tuple(rows)
        self.optical_bands = tuple(optical_bands)
        self.scheme = scheme_named(scheme)
        self.tiles = {row.tile: row for row in self.rows}

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything beside the files on which the values of `read` depend, as JSON."""

    @abstractmethod
    def tile_path(self, name: str, tile: str) -> Path:
        """Where that source of that tile lies, or would lie."""

    @abstractmethod
    def _read(self, name: str, path: Path) -> np.ndarray:
        """Read one existing file in physical units."""

    def sun(self, tile: str) -> tuple[float, float]:
        """Unknown: none of these datasets dates its tiles."""
        return UNKNOWN

    def source(self, name: str) -> Source:
        """The source as this dataset holds it."""
        return source_named(name, self.optical_bands)

    def has(self, name: str, tile: str) -> bool:
        """Whether the tile holds that source."""
        return name in self.source_names and self.tile_path(name, tile).is_file()

    def read(self, name: str, tile: str) -> np.ndarray:
        """The source of a tile in physical units, (bands, H, W); NaN, or 255 for ids, where there is nothing."""
        if tile not in self.tiles or not self.has(name, tile):
            raise InputError(
                explain(self.path, expected=f"the source {name} of tile {tile}", found="none",
                        fix="Download it, or leave the tile out.")
            )  # fmt: skip
        return self._read(name, self.tile_path(name, tile))

    def georeference(self, tile: str) -> Georeference:
        """Of all of the tile's own files, to half a pixel; refuses those that lie apart."""
        paths = [self.tile_path(name, tile) for name in self.source_names if self.has(name, tile)]
        if not paths:
            raise InputError(explain(self.path, expected=f"files of tile {tile}", found="none", fix="Download them."))
        places = [read_georeference(path) for path in paths]
        for path, place in zip(paths[1:], places[1:], strict=True):
            if not place.is_that_of(places[0]):
                raise InputError(
                    explain(path, expected=f"the place of {paths[0].name} ({places[0]})", found=str(place), fix="Download the tile again.")
                )  # fmt: skip
        return places[0]


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; hidden ones (what archives from other systems leave behind) are passed over."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def read_raw(path: Path, *, counts: Sequence[int], indexes: Sequence[int] | None = None) -> np.ndarray:
    """Read the stored numbers of a GeoTIFF, its size and band count checked before memory is taken.

    Args:
        path: The file.
        counts: How many bands it may have.
        indexes: Zero-based bands to read; all by default.
    """
    try:
        with rasterio.open(path) as src:
            refuse_large(path, src, fix="Is this a tile of that dataset?")
            if src.count not in counts:
                wanted = " or ".join(map(str, counts))
                raise InputError(
                    explain(path, expected=f"{wanted} bands", found=str(src.count), fix="Is this a tile of that dataset?")
                )  # fmt: skip
            return np.asarray(src.read(None if indexes is None else [i + 1 for i in indexes]))
    except RasterioError as err:
        raise InputError(
            explain(path, expected="a readable GeoTIFF", found=str(err), fix="Download the tile again.")
        ) from err


def read_georeference(path: Path) -> Georeference:
    """The grid of a file; refuses one that lies nowhere."""
    try:
        with rasterio.open(path) as src:
            if src.crs is None:
                raise InputError(explain(path, expected="a CRS", found="none", fix="Download the tile again."))
            a = src.transform
            if a.b != 0 or a.d != 0 or a.a <= 0 or a.e >= 0 or abs(a.a + a.e) > 1e-6 * a.a:
                raise InputError(
                    explain(path, expected="square pixels, north up", found=f"the transform {tuple(a)[:6]}", fix="Download the tile again, or warp it.")
                )  # fmt: skip
            return Georeference(src.crs, src.transform, src.height, src.width)
    except RasterioError as err:
        raise InputError(
            explain(path, expected="a readable GeoTIFF", found=str(err), fix="Download the tile again.")
        ) from err


def optical_indices(bands: Sequence[str], *, num_stored: int, where: object) -> list[int]:
    """Zero-based positions of named bands in a 12-band (no cirrus) or 13-band Sentinel-2 file."""
    stored = [b for b in SENTINEL2_PRODUCT_NAMES if num_stored == 13 or b != "cirrus"]
    missing = [b for b in bands if b not in stored]
    if missing or not bands:
        raise InputError(
            explain(where, expected=f"optical bands out of {', '.join(stored)}", found=", ".join(missing) or "none",
                    fix="Choose other bands.")
        )  # fmt: skip
    return [stored.index(b) for b in bands]


def radar_db(values: np.ndarray) -> np.ndarray:
    """Radar in dB as float32, everything that is not finite as NaN."""
    decibel = values.astype(np.float32)
    decibel[~np.isfinite(decibel)] = np.nan
    return decibel
