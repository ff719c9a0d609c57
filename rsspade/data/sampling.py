"""In which order tiles are drawn: every tile once, or by weight, and always as a function of numbers alone.

The order of an epoch follows from the seed and the epoch, and each draw carries all that its crop depends on.
A run that stopped after `position` draws therefore goes on with `set_epoch(epoch, start=position)`, whatever
its loader had fetched ahead, however many workers it has, and on any number of processes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from rsspade.data.packed import PackedTiles
from rsspade.errors import ConfigError, InputError, explain

__all__ = ["Draw", "TileSampler", "tile_weights"]

_ORDER = 0x0DE5
"""Keeps the draws of the order apart from those of the crops, which use the same seed."""


class Draw(NamedTuple):
    """What a dataset is asked for: the tile, and what its crop and its flips are drawn from.

    Attributes:
        tile: Its position in the dataset.
        epoch: The epoch.
        repeat: How often this tile was drawn before in this epoch, so that each time shows another crop.
    """

    tile: int
    epoch: int = 0
    repeat: int = 0


class TileSampler(Sampler[Draw]):
    """Draws tiles, uniformly without replacement or by weight with replacement.

    Args:
        num_tiles: Of the dataset.
        seed: Of the order.
        weights: (tiles,) not negative; None for every tile once.
        num_draws: Per epoch; as many as there are tiles by default.
    """

    def __init__(
        self,
        num_tiles: int,
        *,
        seed: int,
        weights: Sequence[float] | np.ndarray | None = None,
        num_draws: int | None = None,
    ) -> None:
        self.num_tiles = num_tiles
        self.num_draws = num_tiles if num_draws is None else num_draws
        self.seed = seed
        self.epoch = 0
        self.start = 0
        self._shares: np.ndarray | None = None
        if weights is not None:
            given = np.asarray(weights, np.float64)
            if given.shape != (num_tiles,) or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
                raise ConfigError(
                    explain("weights", expected=f"{num_tiles} finite numbers of at least 0, not all of them 0",
                            found=f"{given.shape} from {given.min(initial=np.inf):g} to {given.max(initial=-np.inf):g}",
                            fix="Draw uniformly, or correct the weights.")
                )  # fmt: skip
            self._shares = given / given.sum()
        elif self.num_draws > num_tiles:
            raise ConfigError(
                explain("num_draws", expected=f"at most {num_tiles}, each tile once", found=str(num_draws),
                        fix="Pass weights to draw with replacement.")
            )  # fmt: skip

    def set_epoch(self, epoch: int, *, start: int = 0) -> None:
        """Choose the epoch, and after how many of its draws to begin."""
        if not 0 <= start <= self.num_draws:
            raise ConfigError(
                explain("position", expected=f"0 to {self.num_draws}", found=str(start),
                        fix="Is this the checkpoint of another dataset?")
            )  # fmt: skip
        self.epoch, self.start = epoch, start

    def order(self) -> list[Draw]:
        """All draws of the epoch."""
        rng = np.random.default_rng([_ORDER, self.seed, self.epoch])
        if self._shares is None:
            indices = rng.permutation(self.num_tiles)[: self.num_draws]
        else:
            indices = rng.choice(self.num_tiles, size=self.num_draws, p=self._shares)
        seen: dict[int, int] = {}
        draws = []
        for index in indices.tolist():
            draws.append(Draw(index, self.epoch, seen.get(index, 0)))
            seen[index] = draws[-1].repeat + 1
        return draws

    def __iter__(self) -> Iterator[Draw]:
        return iter(self.order()[self.start :])

    def __len__(self) -> int:
        return self.num_draws - self.start


def tile_weights(
    packed: PackedTiles,
    numbers: Sequence[int] | np.ndarray,
    *,
    rare_classes: float = 0.5,
    clear: float = 1.0,
    highest: float = 10.0,
) -> np.ndarray:
    """Weights that favour tiles with rare classes and with much of their optical image clear.

    The class factor of a tile is the mean over its labelled pixels of (1 / share of the pixel's class among all these
    tiles) to the power `rare_classes`, relative to the median tile; the cloud factor is the clear share to the power `clear`.

    Args:
        packed: The packed copy.
        numbers: The tiles to weigh, as positions in the copy: those of the train split.
        rare_classes: 0 ignores classes, 1 weighs each class as if all were equally common.
        clear: 0 ignores clouds (a tile without any clear pixel is still never drawn).
        highest: No tile is drawn more often than so many times the median one for its classes.
    """
    counts = packed.class_counts[numbers][:, :-1].astype(np.float64)
    clear_share = packed.clear_share[numbers].astype(np.float64)
    if not (clear_share > 0).any():
        raise InputError(
            explain(packed.folder, expected="at least one clear optical tile", found="none", fix="Draw uniformly.")
        )
    factor = np.ones(len(counts))
    labelled = counts.sum(axis=1)
    if rare_classes > 0 and labelled.any():
        share = counts.sum(axis=0) / labelled.sum()
        rarity = np.zeros_like(share)
        rarity[share > 0] = share[share > 0] ** -rare_classes
        has = labelled > 0
        factor[has] = (counts[has] @ rarity) / labelled[has]
        factor[has] = np.minimum(factor[has] / np.median(factor[has]), highest)
    return np.where(clear_share > 0, factor * clear_share**clear, 0.0)
