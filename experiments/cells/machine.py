"""What a result was made on, in words that say enough to compare times, and with which code."""

import os
import platform
import subprocess
from pathlib import Path

__all__ = ["commit", "machine"]


def machine() -> str:
    """Cores and architecture."""
    return f"{os.cpu_count()} cores, {platform.machine()}"


def commit() -> str:
    """Of the code; empty outside a checkout."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
