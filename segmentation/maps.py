"""Predicted maps as files: class ids with the colours of their scheme, georeferenced like the tile they belong to."""

from pathlib import Path

import numpy as np
import rasterio

from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.sources import LULC, UNLABELLED
from segmentation.losses import IGNORED
from segmentation.models.checkpoint import SegmenterInfo

__all__ = ["write_map"]


def write_map(folder: Path, tile: str, indices: np.ndarray, dataset: DatasetFolder, info: SegmenterInfo) -> None:
    """Write class indices (H, W), `IGNORED` where there is none, as `TILE.tif`; the place is that of the tile's labels."""
    with rasterio.open(dataset.tile_path("lulc", tile)) as src:
        crs, transform = src.crs, src.transform
    table = np.full(IGNORED + 1, UNLABELLED, np.uint8)
    table[: len(info.scheme.ids)] = info.scheme.ids
    names = {f"class_{c.id}": c.name for c in info.scheme.classes}
    write_tile(
        folder / f"{tile}.tif", table[indices][None], LULC, crs=crs, transform=transform, colormap=info.scheme.colormap(),
        tags={"scheme": info.landcover_scheme, "model": info.architecture.model, **names},
    )  # fmt: skip
