"""Memory that a process gives back to the system and asks for again in every step costs time; here it is kept.

Only programs do this, never an import: a library that changes its host's allocator would surprise.
"""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of mallopt(3)
_MIB = 1024 * 1024


def keep_freed_memory() -> bool:
    """Let the C library keep what arrays leave behind, up to 2 GB; returns whether it can, which glibc does.

    By default it maps each large array anew, and the system fills it with zeros page by page. On a CPU that was a fifth
    of the time in which images of 256 px are scored.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return False
    # Older versions know no threshold above 32 MB.
    mapped = set_option(_MMAP_THRESHOLD, 1024 * _MIB) or set_option(_MMAP_THRESHOLD, 32 * _MIB)
    return bool(mapped and set_option(_TRIM_THRESHOLD, 2048 * _MIB - 1) and set_option(_TOP_PAD, 64 * _MIB))
