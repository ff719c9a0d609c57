"""Tiles as tensors: crops, flips and turns of all sources of a tile together, with masks for what is not there.

Everything is in physical units; `rsspade.channels` makes channels of it on the training device. A sample depends on
the dataset's seed and on the draw (tile, epoch, repeat) alone, never on the random state of a process: the same run
gives the same samples with any number of loader workers, and after it was resumed.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rsspade.data.augment import Augmentation, Move, draw_move, move_pixels, turn_azimuth, turn_compass
from rsspade.data.manifest import SPLITS
from rsspade.data.packed import PackedTiles, open_packed
from rsspade.data.packing import clear_pixels
from rsspade.data.readers.base import TileEntry, TileReader
from rsspade.data.sampling import Draw
from rsspade.errors import InputError, explain
from rsspade.sources import CONDITIONS, DEFAULT_OPTICAL_BANDS, UNLABELLED, parse_conditions
from rsspade.sun import UNKNOWN

__all__ = ["Sample", "TileDataset", "day_of_year"]


class Sample(NamedTuple):
    """One crop, or after collating a batch of them with B in front of every shape.

    Pixels without data hold 0 (255 in land cover), so that no NaN can slip through a mask that is multiplied.

    Attributes:
        optical: (C, H, W) reflectance of the clear image.
        optical_valid: (H, W) True where it may enter losses and scores: data there, no cloud, no shadow.
        sources: Source -> (bands, H, W) in physical units; class ids as uint8.
        valid: Source -> (H, W).
        present: (sources,) bool in the order of the dataset's `sources`: whether this tile holds the source.
        cloudy: Empty, or `image` (C, H, W), `valid` (H, W), `mask` (H, W) uint8 (255 unknown) and `present` ().
        day_of_year: () of the optical image, NaN where unknown.
        sun: (2,) its azimuth and elevation when that was taken, degrees; NaN where unknown or not asked for.
        tile: () its position in the dataset.
    """

    optical: Tensor
    optical_valid: Tensor
    sources: dict[str, Tensor]
    valid: dict[str, Tensor]
    present: Tensor
    cloudy: dict[str, Tensor]
    day_of_year: Tensor
    sun: Tensor
    tile: Tensor


class TileDataset(Dataset[Sample]):
    """The tiles of a split.

    Args:
        reader: A `DatasetFolder` or the reader of a public dataset.
        split: `train`, `val` or `test`; None for all.
        sources: The conditions wanted, a subset of s1, lulc, dem.
        crop_size: Side of a square crop in pixels; None for whole tiles.
        augmentation: Flips and turns; None for none.
        random_crops: Draw the place of the crop; otherwise it is the middle of the tile.
        need_optical: Leave out tiles without one clear optical pixel. Off where images are to be synthesised.
        one_of: Leave out tiles that hold none of these sources; how many is told by `without_sources`.
        with_cloudy: Hand out the clouded image too.
        with_sun: Find out where the sun stood.
        seed: Of crops and moves.
        cache: Where the packed copy lies, if not in its usual place.
    """

    def __init__(
        self,
        reader: TileReader,
        *,
        split: str | None = "train",
        sources: Sequence[str] = CONDITIONS,
        crop_size: int | None = None,
        augmentation: Augmentation | None = None,
        random_crops: bool = True,
        need_optical: bool = True,
        one_of: Sequence[str] = (),
        with_cloudy: bool = False,
        with_sun: bool = False,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        if split is not None and split not in SPLITS:
            raise InputError(
                explain("--split", expected=f"one of {', '.join(SPLITS)}", found=repr(split), fix="Correct the name.")
            )
        self.path = reader.path
        self.split = split
        self.sources = parse_conditions(",".join(sources))
        self.scheme = reader.scheme
        self.optical_bands = reader.optical_bands or DEFAULT_OPTICAL_BANDS
        self.augmentation = augmentation
        self.random_crops = random_crops
        self.with_cloudy = with_cloudy
        self.seed = seed
        # In shared memory: workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        chosen = [n for n, row in enumerate(reader.rows) if split is None or row.split == split]
        if not chosen:
            raise InputError(
                explain(reader.path, expected=f"tiles in the split {split or 'train, val or test'}", found="none",
                        fix="Add scenes, or change the ratio of the splits.")
            )  # fmt: skip
        self.packed = open_packed(reader, cache=cache)
        _refuse_missing_sources(reader, self.packed, self.sources)
        if need_optical:
            chosen = [n for n in chosen if self.packed.clear_share[n] > 0]
        if not chosen:
            raise InputError(
                explain(reader.path, expected=f"at least one clear optical tile (S2) in the split {split or 'train, val or test'}",
                        found="none", fix="Add cloud-free optical images, or correct the cloud masks.")
            )  # fmt: skip
        self.numbers = np.array(chosen)
        self.without_sources = 0
        if one_of:
            self._leave_out_without(one_of)
        self.rows: tuple[TileEntry, ...] = tuple(reader.rows[n] for n in self.numbers)
        self.days = [day_of_year(row.s2_date) for row in self.rows]
        self.suns = [reader.sun(row.tile) for row in self.rows] if with_sun else [UNKNOWN] * len(self.rows)
        self.crop_shape = _crop_shape(reader.path, self.packed.size, crop_size)

    @property
    def statistics(self) -> dict[str, Any]:
        """Per-band statistics of the train split, whatever split this is: those of `dataset.json`."""
        return self.packed.statistics

    def holding(self, sources: Sequence[str]) -> np.ndarray:
        """(tiles,) bool: which of them hold one of these sources."""
        nothing = np.zeros(len(self.packed.tiles), bool)
        held = [self.packed.present.get(name, nothing)[self.numbers] for name in sources]
        return np.asarray(np.any(held, axis=0))

    def _leave_out_without(self, sources: Sequence[str]) -> None:
        held = self.holding(sources)
        if not held.any():
            raise InputError(
                explain(self.path, expected=f"tiles with one of {', '.join(sources)} in the split {self.split or 'train, val or test'}",
                        found="none", fix="Choose other --sources or another --split.")
            )  # fmt: skip
        self.numbers, self.without_sources = self.numbers[held], int((~held).sum())

    def set_epoch(self, epoch: int) -> None:
        """The epoch for plain indices; a `Draw` carries its own."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, key: int | Draw) -> Sample:
        draw = key if isinstance(key, Draw) else Draw(int(key), int(self._epoch))
        if not -len(self) <= draw.tile < len(self):
            raise IndexError(f"tile {draw.tile} of {len(self)}")
        index = draw.tile % len(self)
        row, column, move = self._place(index, draw)
        number = int(self.numbers[index])
        window = (number, slice(None), slice(row, row + self.crop_shape[0]), slice(column, column + self.crop_shape[1]))
        optical, optical_valid = self._optical(window, move)
        sources, valid = {}, {}
        for name in self.sources:
            sources[name], valid[name] = self._condition(name, window, move)
        present = torch.tensor([bool(self.packed.present[name][number]) for name in self.sources])
        return Sample(
            optical, optical_valid, sources, valid, present, self._cloudy(window, move) if self.with_cloudy else {},
            torch.tensor(self.days[index], dtype=torch.float32), self._sun(index, move), torch.tensor(index),
        )  # fmt: skip

    def _place(self, index: int, draw: Draw) -> tuple[int, int, Move]:
        """Where the crop begins, and how it is moved."""
        rng = np.random.default_rng([self.seed, draw.epoch, index, draw.repeat])
        spare = [whole - part for whole, part in zip(self.packed.size, self.crop_shape, strict=True)]
        row, column = (int(rng.integers(s + 1)) if self.random_crops else s // 2 for s in spare)
        if self.augmentation is None:
            return row, column, Move()
        return row, column, draw_move(rng, self.augmentation, square=self.crop_shape[0] == self.crop_shape[1])

    def _cut(self, name: str, window: tuple[Any, ...], move: Move) -> np.ndarray | None:
        """The pixels of a source, moved, as an array of their own; None where the tile does not hold it."""
        if name not in self.packed.present or not self.packed.present[name][window[0]]:
            return None
        return np.array(move_pixels(self.packed.array(name)[window], move), order="C")

    def _optical(self, window: tuple[Any, ...], move: Move, name: str = "s2") -> tuple[Tensor, Tensor]:
        values = self._cut(name, window, move)
        shape = self._moved_shape(move)
        if values is None:
            return _filled((len(self.optical_bands), *shape), "float32", 0), _filled(shape, "bool", value=False)
        if name == "s2" and self.packed.clear_share[window[0]] == 1:
            return torch.from_numpy(values), _filled(shape, "bool", value=True)
        cloud = self._cut("cloud", window, move) if name == "s2" else None
        apart = "s2_cloudy" in self.packed.present and bool(self.packed.present["s2_cloudy"][window[0]])
        good = clear_pixels(values, cloud, cloudy_apart=apart)
        values[:, ~np.isfinite(values).all(axis=0)] = 0
        return torch.from_numpy(values), torch.from_numpy(good)

    def _condition(self, name: str, window: tuple[Any, ...], move: Move) -> tuple[Tensor, Tensor]:
        values = self._cut(name, window, move)
        shape = self._moved_shape(move)
        if values is None:
            bands = self.packed.num_bands(name)
            empty = ("uint8", UNLABELLED) if name == "lulc" else ("float32", 0)
            return _filled((bands, *shape), *empty), _filled(shape, "bool", value=False)
        if name == "dem" and self.augmentation is not None and self.augmentation.turn_directions:
            values = turn_compass(values, move)
        if self.packed.whole[name][window[0]]:
            return torch.from_numpy(values), _filled(shape, "bool", value=True)
        if name == "lulc":
            return torch.from_numpy(values), torch.from_numpy(values[0] != UNLABELLED)
        good = np.isfinite(values).all(axis=0)
        values[:, ~good] = 0
        return torch.from_numpy(values), torch.from_numpy(good)

    def _cloudy(self, window: tuple[Any, ...], move: Move) -> dict[str, Tensor]:
        image, valid = self._optical(window, move, name="s2_cloudy")
        mask = self._cut("cloud", window, move)
        unknown = _filled(self._moved_shape(move), "uint8", UNLABELLED)
        return {
            "image": image, "valid": valid, "mask": unknown if mask is None else torch.from_numpy(mask[0]),
            "present": torch.tensor("s2_cloudy" in self.packed.present and bool(self.packed.present["s2_cloudy"][window[0]])),
        }  # fmt: skip

    def _sun(self, index: int, move: Move) -> Tensor:
        azimuth, elevation = self.suns[index]
        if self.augmentation is not None and self.augmentation.turn_directions:
            azimuth = float(turn_azimuth(azimuth, move))
        return torch.tensor([azimuth, elevation], dtype=torch.float32)

    def _moved_shape(self, move: Move) -> tuple[int, int]:
        height, width = self.crop_shape
        return (width, height) if move.quarter_turns % 2 else (height, width)


def _filled(shape: tuple[int, ...], dtype: str, value: int) -> Tensor:
    # By numpy: torch would wake its threads to fill a tile, and wait for them on a machine that is busy (measured
    # at 256 px under load: 30 ms for a sample that takes 1).
    return torch.from_numpy(np.full(shape, value, dtype))


def _refuse_missing_sources(reader: TileReader, packed: PackedTiles, sources: Sequence[str]) -> None:
    for name in sources:
        if not packed.present.get(name, np.zeros(1, bool)).any():
            held = ", ".join(n for n in CONDITIONS if packed.present.get(n, np.zeros(1, bool)).any()) or "none of them"
            raise InputError(
                explain(reader.path, expected=f"a dataset with the source {name}", found=held,
                        fix="Choose with --sources from those that are there, or add the missing one.")
            )  # fmt: skip


def _crop_shape(where: Path, size: tuple[int, int], crop_size: int | None) -> tuple[int, int]:
    if crop_size is None:
        return size
    if not 1 <= crop_size <= min(size):
        raise InputError(
            explain(where, expected=f"a crop of 1 to {min(size)} pixels, the size of a tile", found=str(crop_size),
                    fix="Choose a smaller crop, or make larger tiles.")
        )  # fmt: skip
    return crop_size, crop_size


def day_of_year(text: str) -> float:
    """Day of year (1 … 366) of an ISO date; NaN where there is none that can be read."""
    try:
        return float(date.fromisoformat(text[:10]).timetuple().tm_yday)
    except ValueError:
        return float("nan")
