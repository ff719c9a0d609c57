"""How much of what a generator is given lies outside of what its training tiles held: there it can only guess.

Shape letters: B batch, C bands, H W pixels.

The ranges stand in the summary of its training. Generators made before there were any are silent.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rsspade.sources import source_named

__all__ = ["RANGED", "Seen", "read_ranges", "seen_ranges"]

RANGED: Mapping[str, tuple[str, ...]] = {"s1": ("vv", "vh"), "dem": ("elevation", "slope")}
"""The bands that can lie outside; aspect and hillshade are angles and grey levels, of which training sees all there are."""

NOTABLE = 0.05
"""Share of the pixels from which on it is told."""

Ranges = dict[str, dict[str, tuple[float, float]]]


def seen_ranges(statistics: Mapping[str, Any], sources: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Lowest and highest value of each ranged band in the train split, out of a dataset's statistics."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in (name for name in sources if name in RANGED):
        bands = statistics.get(source_named(name).folder, {})
        own = {
            band: [float(f"{bands[band][end]:.6g}") for end in ("min", "max")] for band in RANGED[name] if band in bands
        }
        if own:
            found[name] = own
    return found


def read_ranges(training: Mapping[str, Any]) -> Ranges:
    """The ranges in the summary of a training; what does not look like a range is left out."""
    found: Ranges = {}
    content = training.get("seen")
    for name, bands in content.items() if isinstance(content, Mapping) else ():
        for band, ends in bands.items() if isinstance(bands, Mapping) else ():
            if (
                band in RANGED.get(name, ())
                and isinstance(ends, list)
                and len(ends) == 2
                and all(map(_is_number, ends))
            ):
                found.setdefault(name, {})[band] = (float(ends[0]), float(ends[1]))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e9  # a foreign file may hold an int that no float can


class Seen:
    """Counts, on the device, the pixels of all that a generator was given.

    Args:
        training: The summary of its training.
    """

    def __init__(self, training: Mapping[str, Any]) -> None:
        self.ranges = read_ranges(training)
        self._counts: dict[tuple[str, str], tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        """Pixels, those outside, the lowest and the highest value."""

    def add(self, name: str, values: Tensor, usable: Tensor) -> None:
        """Count the pixels of a source: values (B, C, H, W) in physical units, usable (B, H, W)."""
        for band, (low, high) in self.ranges.get(name, {}).items():
            plane = values[:, source_named(name).band_names.index(band)]
            outside = usable & ((plane < low) | (plane > high))
            lowest, highest = plane.where(usable, math.inf).min(), plane.where(usable, -math.inf).max()
            pixels, odd, least, most = self._counts.get((name, band), (0, 0, lowest, highest))
            self._counts[name, band] = (
                pixels + usable.sum(), odd + outside.sum(), torch.minimum(least, lowest), torch.maximum(most, highest)
            )  # fmt: skip

    def sentences(self) -> list[str]:
        """A line for each band of which more than `NOTABLE` lies outside."""
        found = []
        for (name, band), counts in self._counts.items():
            pixels, outside, low, high = (float(number) + 0.0 for number in counts)  # no minus zero
            if pixels and outside / pixels > NOTABLE:
                ends = self.ranges[name][band]
                found.append(
                    f"{band} of {name}: {outside / pixels:.0%} of the pixels ({low:.4g} … {high:.4g} in all) lie outside of "
                    f"{ends[0]:.4g} … {ends[1]:.4g}, which is all that this generator was trained on: expect little of its "
                    "images there."
                )
        return found
