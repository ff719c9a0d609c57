"""Random numbers that belong to places: the same pixel of a scene sees the same noise, whatever tile looks at it.

Every number is a hash of where it lies, looked up in a table of the normal distribution: no state, no order of the
work, whole-number arithmetic only. numpy's own generators promise no equal streams from one version to the next, and
the logarithms of a Box-Muller transform differ in their last digits between processors.
"""

import functools
from hashlib import blake2b
from statistics import NormalDist

import numpy as np

__all__ = ["NoiseField"]

_PER_HASH = 4  # channels out of 64 bits
_TABLE_BITS = 16
_STEPS = 2.0**20
_ROW, _COLUMN, _GROUP = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xABC98388FB8FAC03))


class NoiseField:
    """Standard normal noise over an endless grid, a pure function of seed, name, number, level and position.

    Args:
        seed: Of the whole job.
        name: What the grid belongs to, such as a tile or a scene.
        number: Which of several fields, from 0.
    """

    def __init__(self, seed: int, *, name: str = "", number: int = 0) -> None:
        self._identity = f"{seed}\n{number}\n{name}"

    def window(self, level: int, row: int, col: int, height: int, width: int, channels: int = 1) -> np.ndarray:
        """Cut a window out of one level's grid; levels have nothing in common.

        Args:
            level: Which grid.
            row: The window's first row in pixels of that level, of any sign.
            col: Its first column.
            height: Of the window.
            width: Of the window.
            channels: How many; the first are the same however many are asked for.

        Returns:
            (channels, height, width) float32.
        """
        key = np.uint64(
            int.from_bytes(blake2b(f"{level}\n{self._identity}".encode(), digest_size=8).digest(), "little")
        )
        rows = _mix(_positions(row, height) * _ROW + key)
        places = _mix(_positions(col, width) * _COLUMN + rows[:, None])  # (height, width)
        groups = np.arange(-(-channels // _PER_HASH), dtype=np.uint64)
        hashed = _mix(places + (groups * _GROUP)[:, None, None])  # (groups, height, width)
        shifts = np.arange(_PER_HASH, dtype=np.uint64) * np.uint64(_TABLE_BITS)
        entries = (hashed[:, None] >> shifts[:, None, None]) & np.uint64(2**_TABLE_BITS - 1)
        values = _normal_table()[entries.reshape(-1, height, width)[:channels].astype(np.intp)]
        return np.asarray(values, np.float32)


def _positions(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int64).astype(np.uint64)  # negative ones wrap around


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: every bit of the input turns half of the output's."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@functools.cache
def _normal_table() -> np.ndarray:
    """The middles of 2¹⁶ equally likely parts of the normal distribution, rounded to what every machine agrees on."""
    half = 2 ** (_TABLE_BITS - 1)
    normal = NormalDist()
    upper = np.array([normal.inv_cdf((half + n + 0.5) / (2 * half)) for n in range(half)])
    upper = np.round(upper * _STEPS) / _STEPS
    return np.concatenate([-upper[::-1], upper]).astype(np.float32)
