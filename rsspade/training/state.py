"""Full states of a run on disk: written whole or not at all, checked before they are believed, never unpickled.

A checkpoint is a folder `step_00001000`: tensors as safetensors, everything else in `state.json`, which also names
each file with its size and SHA-256. Random states and the position in the data are not in it because they are pure
functions of the seed and the step (see `rsspade.training.batches` and `loop.seed_step`).
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as pack_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from rsspade.errors import InputError, explain
from rsspade.jobs import disk_errors

__all__ = [
    "Checkpoint",
    "find_checkpoints",
    "load_optimizer",
    "optimizer_tensors",
    "plain_tensors",
    "read_checkpoint",
    "write_checkpoint",
]

FORMAT, VERSION = "rs-spade checkpoint", 1
_NAME = re.compile(r"step_(\d{8,})")
_MAX_STATE_BYTES = 16 * 1024 * 1024
_MAX_TENSOR_BYTES = 64 * 1024**3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read back.

    Attributes:
        path: Its folder.
        state: Everything that is not a tensor.
        tensors: Part (`generator`, …) -> name -> tensor.
    """

    path: Path
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def find_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first; what is half-written bears another name."""
    if not folder.is_dir():
        return []
    found = [
        (int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()
    ]
    return [path for _, path in sorted(found, reverse=True)]


def write_checkpoint(
    folder: Path, step: int, state: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], *, keep: int
) -> Path:
    """Write `step_…` into the folder under another name and rename it when it is on the disk; then drop what is superseded.

    That is all but the newest `keep` up to this step, and any of a later step: a run that went back to an earlier one has
    given those up.
    """
    final, building = folder / f"step_{step:08d}", folder / ".building"
    with disk_errors(folder):
        for leftover in (building, folder / ".replaced"):
            shutil.rmtree(leftover, ignore_errors=True)
        building.mkdir(parents=True)
        files = {}
        for part, content in tensors.items():
            data = pack_tensors(plain_tensors(content))
            files[f"{part}.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            _write_through(building / f"{part}.safetensors", data)
        whole = {"format": FORMAT, "version": VERSION, "step": step, **state, "files": files}
        _write_through(building / "state.json", json.dumps(whole, indent=1, allow_nan=False).encode())
        if final.exists():  # of a session that was killed later than the checkpoint this one went on from
            final.rename(folder / ".replaced")
        building.rename(final)
        shutil.rmtree(folder / ".replaced", ignore_errors=True)
        there = find_checkpoints(folder)
        own = there.index(final)
        for superseded in (*there[:own], *there[own + keep :]):
            shutil.rmtree(superseded, ignore_errors=True)
    return final


def _write_through(path: Path, data: bytes) -> None:
    """To the disk, not to its cache: a name must not survive a power cut that its content does not."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, refusing one that is not whole or not ours."""
    state = _read_state(path)
    tensors = {}
    for name, entry in state["files"].items():
        file = path / name
        try:
            if file.stat().st_size != entry["bytes"] or entry["bytes"] > _MAX_TENSOR_BYTES:
                raise _damaged(file, f"{entry['bytes']} bytes", f"{file.stat().st_size}")
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                raise _damaged(file, "the bytes that were written", "others")
            tensors[name.removesuffix(".safetensors")] = parse_tensors(data)
        except (OSError, SafetensorError) as err:
            raise _damaged(file, "a readable file", str(err)) from err
    return Checkpoint(path, state, tensors)


def _read_state(path: Path) -> dict[str, Any]:
    file = path / "state.json"
    try:
        if file.stat().st_size > _MAX_STATE_BYTES:
            raise ValueError("too large")  # noqa: TRY301 (one handler for all that is wrong with the file)
        state = json.loads(file.read_text(encoding="utf-8"))
        if state["format"] != FORMAT or state["version"] != VERSION:
            raise ValueError(f"{state['format']!r} version {state['version']!r}")  # noqa: TRY301
        wrong = [n for n in state["files"] if not re.fullmatch(r"[a-z_]+\.safetensors", n)]
        if wrong or not isinstance(state["step"], int) or not isinstance(state["config"], dict):
            raise ValueError(f"content that does not fit ({', '.join(wrong) or 'step or config'})")  # noqa: TRY301
        for entry in state["files"].values():
            entry["bytes"] + 0, entry["sha256"] + ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise _damaged(file, f"the state of a run (format {FORMAT} {VERSION})", f"{type(err).__name__}: {err}") from err
    return dict(state)


def _damaged(where: Path, expected: str, found: str) -> InputError:
    return InputError(
        explain(where, expected=expected, found=found,
                fix="This checkpoint is damaged or foreign: remove its folder to continue the one before, or begin in another --out.")
    )  # fmt: skip


def plain_tensors(content: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: on the host, each with memory of its own in plain order."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in content.items()}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The moments and step counts by parameter number; the rest of its state is configuration."""
    state = optimizer.state_dict()["state"]
    return {
        f"{n}.{key}": value for n, entry in state.items() for key, value in entry.items() if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`; each moment gets its parameter's layout, which fused steps rely on."""
    parameters = list(_parameters(optimizer))
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape and key != "step":
            moment = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)
        else:
            moment = value.to(parameter.device)
        optimizer.state[parameter][key] = moment.detach()


def _parameters(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]
