"""How much of the relief that a generator is given lies outside of what its training tiles held: there it can only guess.

Shape letters: B batch, C bands, H W pixels.

The ranges stand in the summary of its (last) training. Generators that have none there are silent.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rsspade.sources import source_named

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["RANGED", "Seen", "seen_ranges"]

RANGED: Mapping[str, Mapping[str, str]] = {"dem": {"elevation": "m", "slope": "°"}}
"""Source -> band -> unit, of the bands that can lie outside: aspect and hillshade are angles and grey levels, of which
training sees all there are, and radar is cut off at fixed ends before a network sees it."""

MARGIN = 0.1
"""How far outside a pixel must lie, as a share of the range; at least one unit."""
NOTABLE = 0.05
"""Share of the pixels from which on it is told."""


def seen_ranges(statistics: Mapping[str, Any], sources: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Lowest and highest value of each ranged band in the train split, out of a dataset's statistics."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in (name for name in sources if name in RANGED):
        for band, entry in (statistics.get(source_named(name).folder) or {}).items():
            ends = [entry.get("min"), entry.get("max")] if isinstance(entry, Mapping) else []
            if band in RANGED[name] and ends and all(map(_is_number, ends)):
                found.setdefault(name, {})[band] = [float(f"{end:.6g}") for end in ends]
    return found


def _read_ranges(training: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """(Source, band) -> ends, of the summary of a training; what does not look like a range is left out."""
    found, content = {}, training.get("seen")
    for name, bands in content.items() if isinstance(content, Mapping) else ():
        for band, ends in bands.items() if isinstance(bands, Mapping) else ():
            if (
                band in RANGED.get(name, ())
                and isinstance(ends, list)
                and len(ends) == 2
                and all(map(_is_number, ends))
            ):
                found[name, band] = (float(ends[0]), float(ends[1]))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e9  # a foreign file may hold an int that no float can


class Seen:
    """Counts, on the device, the pixels of all that a generator was given; a job that goes on counts what was left.

    Args:
        training: The summary of its training.
    """

    def __init__(self, training: Mapping[str, Any]) -> None:
        self.ranges = _read_ranges(training)
        self._counts: dict[tuple[str, str], tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        """Pixels, those outside, the lowest and the highest value."""

    @property
    def counted(self) -> bool:
        """Whether there was anything to judge."""
        return bool(self._counts)

    def add(self, name: str, values: Tensor, usable: Tensor) -> None:
        """Count the pixels of a source: values (B, C, H, W) in physical units, usable (B, H, W)."""
        for (source, band), (low, high) in self.ranges.items():
            if source != name:
                continue
            plane = values[:, source_named(name).band_names.index(band)]
            margin = max(MARGIN * (high - low), 1.0)
            outside = usable & ((plane < low - margin) | (plane > high + margin))
            lowest, highest = plane.where(usable, math.inf).min(), plane.where(usable, -math.inf).max()
            pixels, odd, least, most = self._counts.get((name, band), (0, 0, lowest, highest))
            self._counts[name, band] = (
                pixels + usable.sum(), odd + outside.sum(), torch.minimum(least, lowest), torch.maximum(most, highest)
            )  # fmt: skip

    def gather(self, accelerator: "Accelerator") -> None:
        """Take in the counts of all processes; every process must call it."""
        if accelerator.num_processes == 1 or not self.ranges:  # without ranges in all processes, or in none
            return
        nothing = (0.0, 0.0, math.inf, -math.inf)
        mine = [[float(number) for number in self._counts.get(key, nothing)] for key in self.ranges]
        rows = torch.tensor(mine, dtype=torch.float64, device=accelerator.device).reshape(1, len(self.ranges), 4)
        everyone = accelerator.gather(rows)
        for key, own in zip(self.ranges, everyone.transpose(0, 1), strict=True):
            self._counts[key] = (own[:, 0].sum(), own[:, 1].sum(), own[:, 2].min(), own[:, 3].max())

    def sentences(self) -> list[str]:
        """A line for each band of which more than `NOTABLE` lies outside."""
        found = []
        for (name, band), counts in self._counts.items():
            pixels, outside, low, high = (float(number) + 0.0 for number in counts)  # no minus zero
            if pixels and outside / pixels > NOTABLE:
                (least, most), unit = self.ranges[name, band], RANGED[name][band]
                found.append(
                    f"{band}: {outside / pixels:.0%} of the pixels lie outside of {least:.4g} … {most:.4g} {unit}, the range of the tiles "
                    f"that the generator was last trained on (here {low:.4g} … {high:.4g} {unit}): its images there are guesses; "
                    "look at them closely, or train on places like these."
                )
        return found
