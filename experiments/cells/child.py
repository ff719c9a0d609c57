"""What a command costs that runs in a process of its own: its time, and the peak of its memory as the system counts it.

A new process begins with the peak of the one that started it, as Linux counts. So the command is started by this file, run as
a program, which is small, and not by an experiment that has loaded PyTorch.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

__all__ = ["run_measured"]


def run_measured(command: Sequence[str]) -> tuple[float, float]:
    """Run a command whose words nobody wants to read; seconds and peak megabytes. One that fails ends the program."""
    starter = [sys.executable, "-I", "-S", __file__, *command]
    done = subprocess.run(starter, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def _run(command: Sequence[str]) -> int:
    """Run it here and print what it cost; its exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # wait4 reports this one child; RUSAGE_CHILDREN would be the largest of all before it.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    print(seconds, usage.ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
