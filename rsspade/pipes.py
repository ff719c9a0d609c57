"""Programs whose output is piped into one that has seen enough, as in `rsspade check DATASET | head`."""

import os
import select
import sys
from collections.abc import Callable

__all__ = ["while_somebody_reads"]


def while_somebody_reads(work: Callable[[], int]) -> int:
    """The exit code of the work; where the reader of standard output goes, no word about it, and no success."""
    try:
        code = work()
        sys.stdout.flush()  # here, where a reader that has gone is noticed, and not when the program ends
    except BrokenPipeError:
        if _somebody_reads():
            raise  # another pipe broke, such as that of a worker
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        return 128 + 13  # as a shell tells of SIGPIPE
    return code


def _somebody_reads() -> bool:
    """Whether the other end of standard output is open; taken to be closed where the system cannot tell."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # not a file of the system: its pipe cannot have broken
        return True
    return not any(event & select.POLLERR for _, event in poll.poll(0))
