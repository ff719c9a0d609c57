"""How far long work is: a bar for those who look on, a line a minute for those who read it in a log."""

import os
import sys
import time
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm

__all__ = ["Progress", "progress_bar"]

_EVERY_S = 60.0
_BEGINNING_S = 1.0
"""What is done by then was there already: an interrupted job goes on."""


class Progress(Protocol):
    """What is told how much is done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, n: int = 1) -> object:
        """So many more units are done."""


def progress_bar(*, total: int, title: str, unit: str = "unit") -> Progress:
    """Rate and time left, on standard error; where that is no terminal, lines of the first process alone."""
    if sys.stderr.isatty():
        bar: Progress = tqdm(total=total, desc=title, unit=unit, leave=False)
        return bar
    return _Lines(total, title, unit)


class _Lines:
    def __init__(self, total: int, title: str, unit: str) -> None:
        self._total, self._title, self._units = total, title, unit if unit == "px" else f"{unit}s"
        self._done = self._there = 0
        self._began = self._told = time.monotonic()
        self._speaks = os.environ.get("RANK", "0") == "0"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def update(self, n: int = 1) -> None:
        now = time.monotonic()
        self._done += n
        if now - self._began < _BEGINNING_S:
            self._there = self._done
        if now - self._told >= _EVERY_S and self._speaks and self._done < self._total:
            self._told = now
            left = (now - self._began) * (self._total - self._done) / max(self._done - self._there, 1)
            print(
                f"{self._title}: {self._done} of {self._total} {self._units} ({self._done / self._total:.0%}), about {max(left / 60, 1):.0f} min left",
                file=sys.stderr, flush=True,
            )  # fmt: skip
