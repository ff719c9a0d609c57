"""How much faster a dataset reads through its packed copy than tile by tile from its GeoTIFFs.

Both sides yield the same tiles with the same sources, alternate in short rounds, and run in one process, so that
a busy machine slows both. The packed side is what training pays: whole samples with masks, as tensors.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import TileDataset
from rsspade.sources import CONDITIONS

__all__ = ["ReadingSpeed", "measure_reading"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingSpeed:
    """Tiles per second, each the median over the rounds; the ratio is the median of the rounds' own ratios."""

    tiles: int
    packed: float
    geotiff: float
    ratio: float


def measure_reading(
    data: DatasetFolder,
    *,
    sources: Sequence[str] = CONDITIONS,
    max_tiles: int = 64,
    rounds: int = 5,
    cache: Path | None = None,
) -> ReadingSpeed:
    """Read the same tiles both ways, several times over; the packed copy is made before the clock starts."""
    dataset = TileDataset(data, split=None, sources=sources, cache=cache)
    numbers = range(min(len(dataset), max_tiles))
    names = ("s2", *dataset.sources)

    def packed() -> None:
        for number in numbers:
            dataset[number]

    def geotiff() -> None:
        for number in numbers:
            tile = dataset.rows[number].tile
            for name in names:
                if data.has(name, tile):
                    data.read(name, tile)

    packed()  # both once, so that neither pays for first touching its files
    geotiff()
    rates = [(len(numbers) / _seconds(packed), len(numbers) / _seconds(geotiff)) for _ in range(rounds)]
    return ReadingSpeed(
        tiles=len(numbers),
        packed=statistics.median(p for p, _ in rates),
        geotiff=statistics.median(g for _, g in rates),
        ratio=statistics.median(p / g for p, g in rates),
    )


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
