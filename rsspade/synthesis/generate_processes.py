"""Several processes at one job: they share its tiles, and what stops one of them stops all with one sentence."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object

from rsspade.errors import RSSpadeError

__all__ = ["leave", "make_accelerator", "together"]

T = TypeVar("T")
_PATIENCE = timedelta(days=7)
"""Who is done first waits for the others; by default that is taken for a hang after ten minutes."""


def make_accelerator() -> Accelerator:
    """Device and processes."""
    # Told so, accelerate lets processes without a GPU work together; otherwise each would do all of the work.
    return Accelerator(
        cpu=not torch.accelerator.is_available(), kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)]
    )


def together(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """Do a process's part of the work, and wait for the others.

    Where any of them meets a user's mistake, the main process tells the first one, and the others leave without a
    word.
    """
    result, problem = None, None
    try:
        result = work()
    except RSSpadeError as err:
        if accelerator.num_processes == 1:
            raise
        problem = err
    if accelerator.num_processes > 1:
        problems = [found for found in gather_object([problem]) if found is not None]
        if problems and accelerator.is_main_process:
            raise problems[0]
        if problems:
            raise SystemExit(2)
    return result  # type: ignore[return-value]  # None only where `work` returned it


def leave(accelerator: Accelerator) -> None:
    """End, all processes together; several of them do not return from here.

    Gloo's threads now and then abort a process that has done everything and ends (torch 2.13, "terminate called without an
    active exception"), and the launcher then stops the others, the main process among them while it writes.
    """
    several = accelerator.num_processes > 1
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if several:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
