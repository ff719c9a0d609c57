"""What a collection of tiles must offer so that it can be packed, trained on and converted.

`TileReader` is met by `DatasetFolder` as it is, and by the readers of public datasets beside this file. A reader
yields physical units only; offsets, scales, class ids and file names of a public dataset stay inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from rsspade.data.geotiff import MAX_TILE_PIXELS
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme
from rsspade.sources import SENTINEL2_PRODUCT_NAMES, Source

__all__ = ["Georeference", "PublicReader", "PublicTile", "TileEntry", "TileReader", "optical_indices", "read_raw"]


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


class PublicReader(TileReader, Protocol):
    """A reader that can also say where its tiles lie, and which sources it can have at all."""

    @property
    def name(self) -> str:
        """Of the dataset."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources that some of its tiles may hold."""

    def georeference(self, tile: str) -> Georeference:
        """From the tile's own files."""


def read_raw(path: Path, *, counts: Sequence[int], indexes: Sequence[int] | None = None) -> np.ndarray:
    """Read the stored numbers of a GeoTIFF, its size and band count checked before memory is taken.

    Args:
        path: The file.
        counts: How many bands it may have.
        indexes: Zero-based bands to read; all by default.
    """
    try:
        with rasterio.open(path) as src:
            if src.width * src.height > MAX_TILE_PIXELS:
                raise InputError(
                    explain(path, expected=f"a tile of at most {MAX_TILE_PIXELS} pixels", found=f"{src.width}×{src.height}",
                            fix="Is this a tile of that dataset?")
                )  # fmt: skip
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


def digital_numbers_to_reflectance(numbers: np.ndarray, offset: int) -> np.ndarray:
    """Sentinel-2 digital numbers (bands, H, W) -> reflectance, NaN where every band is 0, the value of no data.

    The test comes before the offset is added, and looks at all bands together: a single dark band may be 0.
    """
    empty = (numbers == 0).all(axis=0)
    reflectance = (numbers.astype(np.float32) + np.float32(offset)) / np.float32(10_000)
    reflectance[:, empty] = np.nan
    return reflectance


def radar_db(values: np.ndarray) -> np.ndarray:
    """Radar in dB as float32, everything that is not finite as NaN."""
    decibel = values.astype(np.float32)
    decibel[~np.isfinite(decibel)] = np.nan
    return decibel
