"""The result of `scene`: a cloud-optimised GeoTIFF of reflectance that says what it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.shutil import copy
from rasterio.windows import Window

from rsspade.errors import OutputError, explain
from rsspade.geo.grid import Grid

__all__ = ["NODATA", "SCALE", "Encoding", "write_cog"]

SCALE = 1e-4
NODATA = 65535
_HIGHEST = NODATA - 1


@dataclass(frozen=True, slots=True)
class Encoding:
    """Reflectance as 16-bit numbers: reflectance = number · 1e-4 + offset.

    The offset is 0; where a real image is kept, that of its own numbers, so that they stay as they are.
    """

    offset: float = 0.0

    def encode(self, reflectance: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """(bands, H, W) reflectance, (H, W) where it counts -> uint16; what does not fit ends at the range's end."""
        out = np.full(reflectance.shape, NODATA, np.uint16)
        for plane, encoded in zip(reflectance, out, strict=True):  # one at a time: a row of tiles is large in float64
            numbers = (plane[valid].astype(np.float64) - self.offset) / SCALE
            encoded[valid] = np.clip(np.rint(numbers), 0, _HIGHEST)
        return out

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """The other way round, float32; NaN for nodata."""
        reflectance = (numbers * SCALE + self.offset).astype(np.float32)
        return np.where(numbers == NODATA, np.float32(np.nan), reflectance)


def write_cog(
    path: Path, numbers: Path, grid: Grid, bands: Sequence[tuple[str, float]], tags: Mapping[str, str]
) -> None:
    """Write numbers as a cloud-optimised GeoTIFF with overviews, and see that it can be read to its end.

    Args:
        path: Of the result; a temporary name.
        numbers: A raster of uint16 without any description.
        grid: Where it lies.
        bands: Name and offset of each.
        tags: Of the file.
    """
    vrt = path.with_suffix(".vrt")
    vrt.write_text(_described(numbers, grid, bands, tags), encoding="utf-8")
    try:
        copy(
            str(vrt), str(path), driver="COG", compress="DEFLATE", predictor="YES", level=6, blocksize=256, bigtiff="IF_SAFER",
            overview_resampling="AVERAGE", statistics="NO",
        )  # fmt: skip
        with rasterio.open(path) as made:
            # A disk that fills up while GDAL closes the file is noticed by nobody else.
            whole = (made.width, made.height, made.count) == (grid.width, grid.height, len(bands))
            made.read(window=Window(grid.width - 1, grid.height - 1, 1, 1))
    except (RasterioError, OSError) as err:
        whole, reason = False, " ".join(str(err.__cause__ or err).split()).rstrip(".")
    else:
        reason = "another size"
    finally:
        vrt.unlink(missing_ok=True)
    if not whole:
        path.unlink(missing_ok=True)
        raise OutputError(
            explain(path.name, expected="a disk that takes the whole file", found=reason, fix="Free space; the same command continues.")
        )  # fmt: skip


def _described(numbers: Path, grid: Grid, bands: Sequence[tuple[str, float]], tags: Mapping[str, str]) -> str:
    """A virtual raster (GDAL's VRT) that adds place, names, scales and tags to bare numbers."""
    colours = {"blue": "Blue", "green": "Green", "red": "Red", "nir": "NIR"}
    shape = f'xOff="0" yOff="0" xSize="{grid.width}" ySize="{grid.height}"'
    planes = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{n}"><Description>{escape(name)}</Description><NoDataValue>{NODATA}</NoDataValue>'
        f"<ColorInterp>{colours.get(name, 'Undefined')}</ColorInterp><Offset>{offset!r}</Offset><Scale>{SCALE!r}</Scale>"
        f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(str(numbers.absolute()))}</SourceFilename>'
        f"<SourceBand>{n}</SourceBand><SrcRect {shape}/><DstRect {shape}/></SimpleSource></VRTRasterBand>"
        for n, (name, offset) in enumerate(bands, start=1)
    )
    items = "".join(f"<MDI key={quoteattr(key)}>{escape(value)}</MDI>" for key, value in tags.items())
    place = ", ".join(repr(float(v)) for v in grid.transform.to_gdal())
    return (
        f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}"><SRS>{escape(CRS.from_string(grid.crs).to_wkt())}</SRS>'
        f"<GeoTransform>{place}</GeoTransform><Metadata>{items}</Metadata>{planes}</VRTDataset>\n"
    )
