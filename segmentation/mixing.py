"""Real and synthetic tiles in one epoch, as a function of seed and epoch alone, and the synthetic sets that are refused.

A synthetic image of a validation or test tile would teach the network what it is judged by. So every synthetic tile
must come from a training tile of this very split, by a generator that was trained on it.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.sampling import Draw
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.models.info import beginnings

__all__ = ["MixedOrder", "MixedTiles", "refuse_synthetic_set", "refuse_synthetic_tiles"]

_REAL, _SYNTHETIC, _MIXED = 0x4EA1, 0x5A17, 0x313E
"""Keep the draws apart that use the same seed."""


class MixedTiles(Dataset[Sample]):
    """Chosen tiles of a real dataset, and behind them chosen tiles of a synthetic one."""

    def __init__(
        self,
        real: TileDataset,
        chosen: Sequence[int],
        synthetic: TileDataset | None = None,
        made: Sequence[int] = (),
    ) -> None:
        self._parts = [(real, n) for n in chosen]
        if synthetic is not None:
            self._parts += [(synthetic, n) for n in made]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, draw: Draw) -> Sample:
        tiles, number = self._parts[draw.tile]
        return tiles[draw._replace(tile=int(number))]


class MixedOrder:
    """The draws of an epoch: every real tile once, and `ratio` synthetic ones for each, well shuffled.

    The parents take turns: none is drawn again before all others were, and each time another of its images. Real tiles
    come in the same order with and without synthetic ones, so that two runs can be compared in pairs.

    Args:
        num_real: Real tiles; they come first in the dataset.
        families: For each parent, the positions of its synthetic tiles in the dataset.
        ratio: Synthetic tiles per real one.
        seed: Of the order.
        until: From this draw on, of all epochs together, real tiles alone, in turns; None for never.
    """

    def __init__(
        self,
        num_real: int,
        families: Sequence[Sequence[int]] = (),
        *,
        ratio: float = 0.0,
        seed: int,
        until: int | None = None,
    ) -> None:
        self.num_real = num_real
        self.families = [list(family) for family in families]
        self.num_synthetic = max(round(ratio * num_real), 1) if families and ratio > 0 else 0
        self.seed = seed
        self.until = until
        self.epoch = 0

    @property
    def num_draws(self) -> int:
        """Draws in an epoch."""
        return self.num_real + self.num_synthetic

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""
        self.epoch = epoch

    def order(self) -> list[Draw]:
        """All draws of the epoch."""
        places = np.zeros(self.num_draws, bool)
        places[: self.num_synthetic] = True
        self._rng(_MIXED).shuffle(places)
        if self.until is not None:
            places[max(self.until - self.epoch * self.num_draws, 0) :] = False
        next_real, next_synthetic = self._real(), iter(self._synthetic())
        seen: dict[int, int] = {}
        draws = []
        for is_synthetic in places.tolist():
            tile = next(next_synthetic if is_synthetic else next_real)
            draws.append(Draw(tile, self.epoch, seen.get(tile, 0)))
            seen[tile] = draws[-1].repeat + 1
        return draws

    def _real(self) -> Iterator[int]:
        rng = self._rng(_REAL)
        while True:
            yield from rng.permutation(self.num_real).tolist()

    def _synthetic(self) -> list[int]:
        if not self.num_synthetic:
            return []
        rng = self._rng(_SYNTHETIC)
        images = [rng.permutation(family).tolist() for family in self.families]
        turns = -(-self.num_synthetic // len(images))
        row = [(turn, parent) for turn in range(turns) for parent in rng.permutation(len(images)).tolist()]
        return [images[parent][turn % len(images[parent])] for turn, parent in row[: self.num_synthetic]]

    def _rng(self, what: int) -> np.random.Generator:
        return np.random.default_rng([what, self.seed, self.epoch])


def refuse_synthetic_tiles(folder: DatasetFolder) -> None:
    """Refuse synthetic tiles where real ones are wanted: in --data, and in all that a network is judged by."""
    found = sum(row.synthetic for row in folder.rows)
    if found:
        raise InputError(
            explain(f"--data {folder.path}", expected="real tiles", found=f"{found} synthetic ones",
                    fix="Name the real dataset; to train on synthetic tiles beside it, hand them over as --synthetic.")
        )  # fmt: skip


def refuse_synthetic_set(real: DatasetFolder, synthetic: DatasetFolder) -> None:
    """Refuse a synthetic dataset that does not fit the real one, or that leaks from its validation or test tiles.

    A generator that was fine-tuned on this split, from weights of another (`--init_from`), is warned of.
    """
    where = f"--synthetic {synthetic.path}"
    pairs: dict[str, tuple[Any, Any]] = {
        "the land-cover scheme": (real.info.landcover_scheme, synthetic.info.landcover_scheme),
        "the optical bands": (", ".join(real.optical_bands), ", ".join(synthetic.optical_bands)),
        "tiles with the side": (real.info.tile_size, synthetic.info.tile_size),
    }
    for what, (wanted, found) in pairs.items():
        if wanted != found:
            raise InputError(
                explain(where, expected=f"{what} of --data, {wanted}", found=str(found), fix="Generate it from --data.")
            )
    _refuse_other_split(where, real, synthetic)
    splits = {row.tile: row.split for row in real.rows}
    for row in synthetic.rows:
        _refuse_leak(where, row, splits)
    _warn_of_beginnings(where, real, synthetic)


def _refuse_other_split(where: str, real: DatasetFolder, synthetic: DatasetFolder) -> None:
    made_by = synthetic.info.made_by
    split = str(real.info.split.get("sha256", ""))
    recorded = {"a dataset made": made_by.get("parent"), "images by a generator trained": made_by.get("generator")}
    for what, entry in recorded.items():
        found = entry.get("split_sha256") if isinstance(entry, dict) else None
        if found != split:
            raise InputError(
                explain(where, expected=f"{what} on the split of --data, {split[:12] or 'unknown'}",
                        found=str(found)[:12] if found else "none recorded",
                        fix="Train the generator on --data and make it with `rsspade generate`.")
            )  # fmt: skip


def _warn_of_beginnings(where: str, real: DatasetFolder, synthetic: DatasetFolder) -> None:
    split = str(real.info.split.get("sha256", ""))
    for begun in beginnings(synthetic.info.made_by["generator"]):
        if begun.get("split_sha256") != split:
            warnings.warn(
                f"{where}: its generator began with weights that were trained on {begun.get('dataset') or 'another dataset'}, "
                "by another split: whether they have seen val and test tiles of --data cannot be told. Make sure that the "
                "places differ.",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip


def _refuse_leak(where: str, row: TileRow, splits: dict[str, str]) -> None:
    found = None
    if not row.synthetic:
        found = "one that is not synthetic"
    elif row.parent not in splits:
        found = f"one made from {row.parent or 'nothing known'}, which --data does not hold"
    elif row.parent_split != "train" or splits[row.parent] != "train":
        found = f"one made from a {row.parent_split if row.parent_split != 'train' else splits[row.parent]} tile"
    if found is not None:
        raise InputError(
            explain(f"{where}, tile {row.tile}", expected="a synthetic tile made from a training tile of --data",
                    found=found, fix="Make it with `rsspade generate --split train`.")
        )  # fmt: skip
