"""Memory that a process keeps instead of giving it back."""

import platform
import subprocess
import sys

import pytest

from rsspade.memory import keep_freed_memory

_COUNT = """
import resource, sys, numpy as np
if sys.argv[1] == "keep":
    from rsspade.memory import keep_freed_memory
    assert keep_freed_memory()
def work():
    held = [np.ones(250_000) for _ in range(10)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_it_says_whether_the_system_can():
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_arrays_come_again_without_new_pages_from_the_system():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", _COUNT, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "by default")
    }
    # 20 times ten arrays of 2 MB: up to 98 000 pages of 4 kB.
    assert faults["keep"] < 0.1 * faults["by default"], faults
