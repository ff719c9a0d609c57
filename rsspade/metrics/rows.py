"""One row of numbers per tile, gathered in any order, from any number of batches and processes.

Rows and not running sums: sorted by tile before they are added up, they give the same score to the last digit
however the tiles were dealt out, and a tile that was dealt twice is recognised.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["PADDING", "TileRows", "gathered_state"]

PADDING = -1
"""As a tile's number: this row only fills up what another process has more."""

_AGREEMENT = 1e-6


class Gathered(Protocol):
    """Scores that travel between processes as rows."""

    def state(self, device: torch.device | str = "cpu") -> Tensor:
        """Everything gathered so far, a row per tile."""


def gathered_state(scores: Gathered, accelerator: "Accelerator") -> Tensor:
    """The rows of all processes, on the host; every process must call it."""
    state = accelerator.pad_across_processes(scores.state(accelerator.device), dim=0, pad_index=PADDING)
    return cast(Tensor, accelerator.gather(state)).cpu()


class TileRows:
    """A growing table: a tile's number, and named groups of columns.

    Args:
        widths: Group -> number of columns.
        identity: How many of the first groups say what was scored, not how well; where two rows carry the same
            tile number, these must agree.
    """

    def __init__(self, widths: Mapping[str, int], *, identity: int) -> None:
        self._widths = dict(widths)
        self._num_columns = 1 + sum(self._widths.values())
        self._num_identity = sum(list(self._widths.values())[:identity])
        self._rows: list[Tensor] = []

    def add(self, tile: Tensor, groups: Mapping[str, Tensor]) -> None:
        """Add a batch: `tile` (B,), each group (B, columns) or (B,); nothing is copied to the host."""
        if tile.ndim != 1 or tile.dtype != torch.int64:
            raise ValueError(f"expected tile numbers int64 (B,), found {tile.dtype} {tuple(tile.shape)}")
        first = next(iter(groups.values()))
        # Single precision (on devices without double) counts tiles up to 16 million.
        dtype = torch.float32 if first.device.type == "mps" else torch.float64
        columns = [tile, *(groups[name] for name in self._widths)]
        self.merge(torch.cat([c.to(first.device, dtype).reshape(len(tile), -1) for c in columns], dim=1).detach())

    def state(self, device: torch.device | str = "cpu") -> Tensor:
        """All rows as one tensor on the device on which it will be gathered."""
        if not self._rows:
            return torch.zeros(0, self._num_columns, dtype=torch.float64, device=device)
        return torch.cat([rows.to(device=device) for rows in self._rows])

    def merge(self, state: Tensor) -> None:
        """Take in rows of another process; rows of tile `PADDING` are passed over."""
        if state.ndim != 2 or state.shape[1] != self._num_columns:
            raise ValueError(f"expected rows of {self._num_columns} numbers, found {tuple(state.shape)}")
        self._rows.append(state)

    def table(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Tile numbers (N,) in ascending order, each once; and the groups, (N, columns)."""
        rows = self.state().double().numpy()
        rows = rows[rows[:, 0] != PADDING]
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        again = np.zeros(len(rows), bool)
        again[1:] = rows[1:, 0] == rows[:-1, 0]
        self._refuse_other_tile(rows, again)
        rows = rows[~again]
        edges = np.cumsum([1, *self._widths.values()])
        groups = {name: rows[:, edges[n] : edges[n + 1]] for n, name in enumerate(self._widths)}
        return rows[:, 0].astype(np.int64), groups

    def _refuse_other_tile(self, rows: np.ndarray, again: np.ndarray) -> None:
        identity = slice(1, 1 + self._num_identity)
        pairs = (rows[again][:, identity], rows[np.flatnonzero(again) - 1][:, identity])
        agree = np.isclose(*pairs, rtol=_AGREEMENT, atol=_AGREEMENT).all(axis=1)
        if not agree.all():
            tile = int(rows[again][~agree][0, 0])
            raise ValueError(f"tile {tile} was scored twice, each time against another truth or mask")
