"""The one way in which this project compares times: by turns, so that a busy machine slows all alike; medians; ratios of a round."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

__all__ = ["Times", "interleaved", "wait"]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each call, one number a round; those of a round belong together."""

    rounds: Mapping[str, tuple[float, ...]]

    def seconds(self, name: str) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, to: str) -> float:
        """How many times as long `name` takes as `to`: the median of the rounds' own ratios."""
        return statistics.median(a / b for a, b in zip(self.rounds[name], self.rounds[to], strict=True))

    def medians(self) -> dict[str, float]:
        """Of all."""
        return {name: self.seconds(name) for name in self.rounds}


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 1,
    turns: Mapping[str, int] | None = None,
) -> Times:
    """Time calls by turns.

    Args:
        calls: Name -> what is timed.
        rounds: That count.
        warm_up: Rounds before them.
        turns: Calls in a row in each round, whose median is the round's number; 1 where nothing is said.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(warm_up + rounds):
        for name, call in calls.items():
            own = [_seconds(call) for _ in range((turns or {}).get(name, 1))]
            if number >= warm_up:
                found[name].append(statistics.median(own))
    return Times({name: tuple(own) for name, own in found.items()})


def _seconds(call: Callable[[], object]) -> float:
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def wait() -> None:
    """A GPU works behind the program's back; what it has been given is part of the call."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
