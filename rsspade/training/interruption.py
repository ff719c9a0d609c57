"""Ctrl-C and SIGTERM: noticed between two steps, by all processes at the same one."""

import signal
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator

__all__ = ["Interruption"]

_AGREE_EVERY = 10
"""On GPUs, asking the other processes makes the host wait for the device: not at every step."""


class Interruption:
    """While inside the `with`, remembers a signal instead of dying of it; a second one kills as usual.

    Args:
        accelerator: Whose processes must stop at the same step, or the rest would wait for them for ever.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, self._before[number])

    def noticed(self, step: int) -> bool:
        """Whether any process was asked to stop; all processes call this after the same step."""
        if self.accelerator.num_processes == 1:
            return self.signal != 0
        if self.accelerator.device.type != "cpu" and step % _AGREE_EVERY:
            return False
        mine = torch.tensor([self.signal], device=self.accelerator.device)
        self.signal = int(self.accelerator.gather(mine).max().item())
        return self.signal != 0

    @property
    def exit_code(self) -> int:
        """As a shell reports a process that died of the signal."""
        return 128 + self.signal
