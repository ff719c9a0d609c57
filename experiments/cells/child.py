"""What a command costs that runs in a process of its own: its time, and the peak of its memory as the system counts it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

__all__ = ["run_measured"]


def run_measured(command: Sequence[str]) -> tuple[float, float]:
    """Run a command whose words nobody wants to read; seconds and peak megabytes. One that fails ends the program."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # wait4 reports this one child; RUSAGE_CHILDREN would be the largest of all before it.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds, usage.ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)
