"""What a run was made with: software, commit, machine; kept beside the run, never in the generator.

The generator's own folder holds no time and no machine, so that the same training gives the same bytes. Who asks later
which code made it finds a line per session here: started, and each time it went on.
"""

import functools
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

import rsspade
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.jobs import disk_errors

__all__ = ["code_version", "note_session"]

_MAX_BYTES = 1024 * 1024
_PACKAGE = Path(rsspade.__file__).parent


@functools.cache
def code_version() -> dict[str, str | None]:
    """The version and, where the package runs from a git checkout, its commit, `+dirty` if the code was changed since."""
    return {"rsspade": rsspade.__version__, "commit": _commit(_PACKAGE)}


def _commit(package: Path) -> str | None:
    # Only a checkout of this very package: installed into somebody's project, git would tell that project's commit.
    if not (package.parent / ".git").exists():
        return None
    try:
        head, changes = (
            _git(package.parent, *words)
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", package.name))
        )
    except (OSError, subprocess.SubprocessError):  # no git, or one that does not trust the folder
        return None
    return f"{head}+dirty" if changes else head


def _git(folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def note_session(path: Path, accelerator: Accelerator, *, step: int) -> None:
    """Add an entry to `environment.json`, a list with one for each time that the run was started; main process only."""
    entry = {
        "step": step,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **code_version(),
        **_machine(accelerator),
    }
    with disk_errors(path):
        write_bytes_atomically(
            path, (json.dumps([*_earlier(path), entry], indent=1, ensure_ascii=False) + "\n").encode()
        )


def _machine(accelerator: Accelerator) -> dict[str, Any]:
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} × {platform.machine()}"
    return {
        "python": platform.python_version(), "torch": torch.__version__, "device": f"{device.type}: {name}",
        "precision": {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
        "processes": accelerator.num_processes, "threads": torch.get_num_threads(),
    }  # fmt: skip


def _earlier(path: Path) -> list[Any]:
    """The entries so far; what cannot be read is no reason to refuse a run."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return []
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return content if isinstance(content, list) else []
