"""What a generator is given beyond what its training showed it: there it can only guess.

That is relief outside of the range of its training tiles, and combinations of sources that its training never left over.

Shape letters: B batch, C bands, H W pixels.

Both stand in the summary of its (last) training. Generators that have none there are silent.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import compress, product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rsspade.errors import InputError
from rsspade.sources import CONDITIONS, parse_subsets, source_named

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["RANGED", "Seen", "seen_ranges"]

RANGED: Mapping[str, Mapping[str, str]] = {"dem": {"elevation": "m", "slope": "°"}}
"""Source -> band -> unit, of the bands that can lie outside: aspect and hillshade are angles and grey levels, of which
training sees all there are, and radar is cut off at fixed ends before a network sees it."""

MARGIN = 0.1
"""How far outside a pixel must lie, as a share of the range; at least one unit."""
NOTABLE = 0.05
"""Share of the pixels, or of the images, from which on it is told."""


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


def _read_combinations(training: Mapping[str, Any], sources: Sequence[str]) -> set[tuple[str, ...]] | None:
    """The combinations of sources that a training left over, of its summary; None where it may have left over any."""
    listed = training.get("subsets")
    if listed is None:
        dropped = training.get("source_dropout")
        return {tuple(sources)} if _is_number(dropped) and dropped == 0 else None
    try:
        return set(parse_subsets([str(text) for text in listed], sources))
    except (InputError, TypeError):  # a foreign summary may hold anything
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e9  # a foreign file may hold an int that no float can


class Seen:
    """Counts, on the device, all that a generator was given; a job that goes on counts what was left.

    Args:
        training: The summary of its training.
        sources: What it knows; without them combinations are not judged.
    """

    def __init__(self, training: Mapping[str, Any], sources: Sequence[str] = ()) -> None:
        self.ranges = _read_ranges(training)
        self._counts: dict[tuple[str, str], tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        """Pixels, those outside, the lowest and the highest value."""
        # A foreign description may name any number of sources; their subsets double with each.
        few = 0 < len(sources) <= len(CONDITIONS)
        self._combinations = _read_combinations(training, sources) if few else None
        self._sources = tuple(sources) if few else ()
        self._subsets = [tuple(compress(sources, kept)) for kept in product((False, True), repeat=len(self._sources))]
        self._images: Tensor | None = None
        """How many were made from each of `_subsets`."""

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

    def add_images(self, present: Mapping[str, Tensor]) -> None:
        """Count images by the sources that they are made from: name -> (B,), of some of the sources or all."""
        if self._combinations is None:
            return
        places = torch.stack([here.long() << self._sources[::-1].index(name) for name, here in present.items()]).sum(0)
        counts = (places[:, None] == torch.arange(len(self._subsets), device=places.device)).sum(dim=0)
        self._images = counts if self._images is None else self._images + counts

    def gather(self, accelerator: "Accelerator") -> None:
        """Take in the counts of all processes; every process must call it."""
        if accelerator.num_processes == 1:
            return
        if self.ranges:  # in all processes, or in none; as for the combinations
            self._gather_pixels(accelerator)
        if self._combinations is not None:
            mine = torch.zeros(len(self._subsets), dtype=torch.long) if self._images is None else self._images
            self._images = accelerator.gather(mine.to(accelerator.device)[None]).sum(dim=0)

    def _gather_pixels(self, accelerator: "Accelerator") -> None:
        nothing = (0.0, 0.0, math.inf, -math.inf)
        mine = [[float(number) for number in self._counts.get(key, nothing)] for key in self.ranges]
        rows = torch.tensor(mine, dtype=torch.float64, device=accelerator.device).reshape(1, len(self.ranges), 4)
        everyone = accelerator.gather(rows)
        for key, own in zip(self.ranges, everyone.transpose(0, 1), strict=True):
            self._counts[key] = (own[:, 0].sum(), own[:, 1].sum(), own[:, 2].min(), own[:, 3].max())

    def sentences(self) -> list[str]:
        """A line for each band of which more than `NOTABLE` lies outside, one for combinations of sources."""
        found = self._odd_combinations()
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

    def _odd_combinations(self) -> list[str]:
        if self._combinations is None or self._images is None:
            return []
        numbers = dict(zip(self._subsets, self._images.tolist(), strict=True))
        odd = {"+".join(s): number for s, number in numbers.items() if s and number and s not in self._combinations}
        if sum(odd.values()) <= NOTABLE * sum(numbers.values()):
            return []
        made = ", ".join(f"{name} ({number} of {sum(numbers.values())} images)" for name, number in odd.items())
        shown = ", ".join("+".join(s) for s in self._subsets if s in self._combinations)
        return [
            f"sources: made from {made}, but the generator was trained to see {shown} only: such images are guesses; look at them "
            "closely, or train with --source_dropout 0.25 or with --subsets that name these."
        ]
