"""Predicted maps as files: class ids with the colours of their scheme, georeferenced like the tile they belong to."""

from pathlib import Path

import numpy as np
import rasterio

from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.sources import LULC
from segmentation.models.checkpoint import SegmenterInfo

__all__ = ["write_map"]


def write_map(folder: Path, tile: str, indices: np.ndarray, dataset: DatasetFolder, info: SegmenterInfo) -> None:
    """Write class indices (H, W) as `TILE.tif`; the place is that of the tile's labels."""
    with rasterio.open(dataset.tile_path("lulc", tile)) as src:
        crs, transform = src.crs, src.transform
    ids = np.array(info.scheme.ids, np.uint8)[indices]
    names = {f"class_{c.id}": c.name for c in info.scheme.classes}
    write_tile(
        folder / f"{tile}.tif", ids[None], LULC, crs=crs, transform=transform, colormap=info.scheme.colormap(),
        tags={"scheme": info.landcover_scheme, "model": info.architecture.model, **names},
    )  # fmt: skip
