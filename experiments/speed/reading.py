"""How fast the tiles of a dataset are read: by the packed copy, and tile by tile from the GeoTIFFs in three ways.

The packed side is what training pays: whole samples with masks, as tensors. The others pay for less: pixels alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rasterio
import torch
from rasterio.merge import merge

from experiments.cells.timing import interleaved
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import TileDataset
from rsspade.sources import CONDITIONS

__all__ = ["measure_reading"]

MOST_TILES = 64


def measure_reading(path: Path, *, rounds: int) -> dict[str, Any]:
    """Tiles per second of each way, and how many times as fast the packed copy is; it is made before the clock starts."""
    data = DatasetFolder.open(path)
    samples = TileDataset(data, split=None, sources=CONDITIONS)
    tiles = [row.tile for row in samples.rows][:MOST_TILES]
    names = [name for name in ("s2", *samples.sources) if all(data.has(name, tile) for tile in tiles)]
    files = [[data.path / data.source(name).folder / f"{tile}.tif" for name in names] for tile in tiles]
    ways: dict[str, Callable[[], object]] = {
        "packed": lambda: _exhaust(samples[n] for n in range(len(tiles))),
        "tile by tile": lambda: _exhaust(data.read(name, tile) for tile in tiles for name in names),
        "plain rasterio": lambda: _exhaust(_plain(file) for own in files for file in own),
        "rasterio.merge": lambda: _exhaust(_merged(file) for own in files for file in own),
    }
    times = interleaved(ways, rounds=rounds)
    return {
        "tile": data.info.tile_size, "tiles": len(tiles), "sources": names,
        "tiles_per_s": {way: len(tiles) / times.seconds(way) for way in ways},
        "ratios": {way: times.ratio(way, "packed") for way in ways if way != "packed"},
    }  # fmt: skip


def _plain(path: Path) -> torch.Tensor:
    with rasterio.open(path) as file:
        return torch.from_numpy(file.read())


def _merged(path: Path) -> torch.Tensor:
    """As TorchGeo's `RasterDataset` reads the part of a file that lies within a box."""
    with rasterio.open(path) as file:
        values, _ = merge([file], bounds=tuple(file.bounds), res=file.res)
    return torch.from_numpy(values)


def _exhaust(items: Iterator[object]) -> None:
    for _ in items:
        pass
