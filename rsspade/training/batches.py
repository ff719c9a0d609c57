"""Which tiles a step sees, as a pure function of the step.

The epochs of an `Order` (such as `TileSampler`) laid end to end make one endless row of draws; step `n` takes the draws from
`n * batch_size` on. So the data position of a run *is* its step, a batch may straddle two epochs, no tile is left
out at the end of one, and processes and micro-batches take equal shares of every batch: none of them can run out
before the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rsspade.channels import Scaling, encode, encode_when
from rsspade.data.collate import collate_samples
from rsspade.data.sampling import Draw
from rsspade.data.torch_dataset import Sample
from rsspade.landcover import Scheme
from rsspade.models.variety import Noise

__all__ = [
    "Batch",
    "Order",
    "Share",
    "StepSampler",
    "hidden_moments",
    "hidden_sources",
    "make_loader",
    "seed_step",
    "to_device",
]

_DROPOUT = 0x0D20
"""Keeps the draws of dropped sources apart from all others that use the same seed."""
_NO_MOMENT = 0x0D21
"""As `_DROPOUT`, of the season and the sun: whether a model is told of them moves no other draw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Which part of every batch this process takes, and in how many micro-batches.

    Attributes:
        batch_size: Tiles per step, of all processes.
        rank: Of this process.
        processes: How many there are.
        accumulate: Micro-batches per step.
    """

    batch_size: int
    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    def slices(self) -> list[slice]:
        """This process's part of the batch, a slice per micro-batch; together the processes take all of it."""
        size = self.batch_size // (self.accumulate * self.processes)
        starts = [(micro * self.processes + self.rank) * size for micro in range(self.accumulate)]
        return [slice(start, start + size) for start in starts]


class Order(Protocol):
    """The draws of each epoch, by the epoch's number alone."""

    epoch: int

    @property
    def num_draws(self) -> int:
        """Draws in an epoch; the same in each."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""

    def order(self) -> list[Draw]:
        """All draws of the epoch."""


class StepSampler(Sampler[list[Draw]]):
    """The micro-batches of this process from a step on.

    Args:
        tiles: The order of each epoch.
        share: What this process takes.
        first: The first step, which is how many have been done.
        last: The step to stop before.
    """

    def __init__(self, tiles: Order, share: Share, *, first: int, last: int) -> None:
        self.tiles = tiles
        self.share = share
        self.steps = range(first, last)

    def __len__(self) -> int:
        return len(self.steps) * self.share.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in self.steps:
            batch = [self._draw(step * self.share.batch_size + n) for n in range(self.share.batch_size)]
            for part in self.share.slices():
                yield batch[part]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self.tiles.num_draws)
        if epoch != self.tiles.epoch or not hasattr(self, "_order"):
            self.tiles.set_epoch(epoch)
            self._order = self.tiles.order()
        return self._order[place]


def make_loader(dataset: Dataset[Sample], sampler: StepSampler, *, workers: int, pin: bool) -> DataLoader[Sample]:
    """The loader of a run; workers leave Ctrl-C to the training process, which stops them in order."""
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate_samples, num_workers=workers, pin_memory=pin,
        worker_init_fn=_quiet_worker if workers else None, prefetch_factor=4 if workers else None,
        # Forked from a process with many threads, workers can hang: they start afresh, once per run.
        multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip


def _quiet_worker(number: int) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def seed_step(seed: int, step: int, part: int) -> None:
    """Seed what networks draw (dropout) by the step: no random state needs to be kept."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def hidden_sources(
    step: int,
    *,
    batch_size: int,
    sources: Sequence[str],
    seed: int,
    share: float,
    subsets: Mapping[tuple[str, ...], float] = MappingProxyType({}),
) -> np.ndarray:
    """Which sources are hidden in which samples of a step: (batch_size, sources) bool, by seed and step alone.

    Each source of each sample with the same chance; where all would be hidden, one that is drawn stays. With
    `subsets` (subset -> share, adding up to 1), each sample shows one of them instead.
    """
    rng = np.random.default_rng([_DROPOUT, seed, step])
    if subsets:
        hidden_in = np.array([[name not in subset for name in sources] for subset in subsets])
        return hidden_in[rng.choice(len(subsets), size=batch_size, p=list(subsets.values()))]
    num_sources = len(sources)
    hidden = rng.random((batch_size, num_sources)) < share
    kept = rng.integers(num_sources, size=batch_size)
    nothing_left = hidden.all(axis=1)
    hidden[nothing_left, kept[nothing_left]] = False
    return hidden


def hidden_moments(step: int, *, batch_size: int, seed: int, share: float) -> np.ndarray:
    """In which samples of a step season and sun are hidden: (batch_size,) bool. So "unknown" is something learned."""
    return np.random.default_rng([_NO_MOMENT, seed, step]).random(batch_size) < share


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A micro-batch as the networks want it.

    Attributes:
        conditions: Source -> (B, channels, H, W).
        present: Source -> (B,) bool: there, and not hidden.
        when: (B, M) season and sun, or None where the model is told neither.
        optical: (B, C, H, W) channels of the true image, 0 where it is not valid.
        valid: (B, H, W) bool.
        noise: What the generator draws with; None where it does not.
    """

    conditions: dict[str, Tensor]
    present: dict[str, Tensor]
    when: Tensor | None
    optical: Tensor
    valid: Tensor
    noise: Noise | None = None


def to_device(
    sample: Sample,
    device: torch.device,
    *,
    sources: tuple[str, ...],
    scaling: Scaling,
    scheme: Scheme,
    hidden: np.ndarray | None = None,
    moment_hidden: np.ndarray | None = None,
    told: Sequence[str] = (),
    channels_last: bool = False,
) -> Batch:
    """Move a collated sample to the device and make channels of it there; nothing waits for the device."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    present = sample.present
    if hidden is not None:
        present = _hide(present, torch.from_numpy(hidden))
    moved = {name: sample.sources[name].to(device, non_blocking=True) for name in sources}
    masks = {name: sample.valid[name].to(device, non_blocking=True) for name in sources}
    conditions = {
        name: encode(name, moved[name], masks[name], scaling=scaling, scheme=scheme).contiguous(
            memory_format=memory_format
        )
        for name in sources
    }
    flags = present.to(device, non_blocking=True)
    valid = sample.optical_valid.to(device, non_blocking=True)
    optical = encode("s2", sample.optical.to(device, non_blocking=True), valid, scaling=scaling)
    day, sun = (part.to(device, non_blocking=True) for part in (sample.day_of_year, sample.sun))
    if moment_hidden is not None:
        unknown = torch.from_numpy(moment_hidden).to(device, non_blocking=True)
        day, sun = day.masked_fill(unknown, torch.nan), sun.masked_fill(unknown[:, None], torch.nan)
    return Batch(
        conditions=conditions,
        present={name: flags[:, n] for n, name in enumerate(sources)},
        when=encode_when(told, day_of_year=day, sun=sun),
        optical=optical.contiguous(memory_format=memory_format),
        valid=valid,
    )


def _hide(present: Tensor, hidden: Tensor) -> Tensor:
    """Hide sources, but none of a tile that would be left without any."""
    left = present & ~hidden
    return torch.where(left.any(dim=1, keepdim=True), left, present)
