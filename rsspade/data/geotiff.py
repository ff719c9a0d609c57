"""One tile as a GeoTIFF: tiled, compressed, georeferenced, nodata declared, bands described.

A tile is encoded in memory and then written under a temporary name and renamed, so that a full disk is
noticed and no half-written file ever bears its final name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from rsspade.errors import InputError, explain
from rsspade.sources import Source

__all__ = ["MAX_TILE_PIXELS", "read_tile", "refuse_large", "write_bytes_atomically", "write_tile"]

MAX_TILE_PIXELS = 8192 * 8192
"""A file that claims a larger tile is refused before memory is taken for it."""

_LARGEST_BLOCK = 2048 * 2048
"""That a small tile may lie in."""


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name beside the target, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_tile(
    path: Path,
    values: np.ndarray,
    source: Source,
    *,
    crs: CRS,
    transform: Affine,
    colormap: Mapping[int, tuple[int, int, int, int]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write (bands, H, W) in physical units as one GeoTIFF of that source."""
    bands, height, width = values.shape
    if bands != len(source.bands):
        raise ValueError(f"{path}: {source.folder} has {len(source.bands)} bands, the array has {bands}")
    block = min(256, 16 * -(-max(height, width) // 32))  # about half the side: one block alone reads as untiled
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": source.dtype, "count": bands, "height": height, "width": width, "crs": crs,
        "transform": transform, "nodata": source.nodata, "tiled": True, "blockxsize": block, "blockysize": block,
        "compress": "deflate", "zlevel": 4, "predictor": 2 if source.is_categorical else 3, "interleave": "band",
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as out:
            out.write(values.astype(source.dtype, copy=False))
            out.descriptions = source.band_names
            out.update_tags(source=source.folder, unit=source.unit, **(tags or {}))
            if colormap is not None:
                out.write_colormap(1, dict(colormap))
        content = memory.read()
    write_bytes_atomically(path, content)


def refuse_large(path: Path, src: rasterio.DatasetReader, *, fix: str) -> None:
    """Refuse a tile for which more memory would be taken than tiles need: GDAL unpacks whole blocks, however little is in them."""
    pixels = src.width * src.height
    if pixels > MAX_TILE_PIXELS:
        raise InputError(
            explain(path, expected=f"a tile of at most {MAX_TILE_PIXELS} pixels", found=f"{src.width}×{src.height}", fix=fix)
        )  # fmt: skip
    height, width = max(src.block_shapes, key=lambda shape: shape[0] * shape[1])
    if height * width > max(4 * pixels, _LARGEST_BLOCK):
        raise InputError(
            explain(path, expected=f"blocks about as large as its {src.width}×{src.height} pixels", found=f"blocks of {width}×{height}", fix=fix)
        )  # fmt: skip


def read_tile(path: Path, *, band_names: Sequence[str] | None = None) -> np.ndarray:
    """Read a tile in physical units: scale and offset applied, declared nodata as NaN in floating point.

    Args:
        path: The GeoTIFF.
        band_names: Which bands, by description, in this order; all in file order by default.
    """
    try:
        with rasterio.open(path) as src:
            refuse_large(path, src, fix="Is this a whole scene? Cut it with `rsspade prepare`.")
            indexes = None if band_names is None else [_band_index(path, src.descriptions, name) for name in band_names]
            values = src.read(indexes)
            scales, offsets, nodata = src.scales, src.offsets, src.nodata
    except RasterioError as err:
        raise InputError(
            explain(path, expected="a readable GeoTIFF", found=str(err), fix="Copy or make the tile again.")
        ) from err
    if values.dtype.kind == "f" or any(s != 1 for s in scales) or any(o != 0 for o in offsets):
        used = range(len(scales)) if indexes is None else [i - 1 for i in indexes]
        scale = np.array([scales[i] for i in used], np.float32)[:, None, None]
        offset = np.array([offsets[i] for i in used], np.float32)[:, None, None]
        empty = np.zeros(values.shape, bool) if nodata is None else values == nodata
        values = values.astype(np.float32) * scale + offset
        values[empty] = np.nan
    return np.asarray(values)


def _band_index(path: Path, descriptions: Sequence[str | None], name: str) -> int:
    if name not in descriptions:
        found = ", ".join(d or "(unnamed)" for d in descriptions)
        raise InputError(
            explain(
                path,
                expected=f"a band described as {name!r}",
                found=found,
                fix="Write the band descriptions, or make the tile again.",
            )
        )
    return descriptions.index(name) + 1
