"""Going on: which checkpoint, whether it is this run's, and how everything gets back into place."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

from rsspade.errors import ConfigError, InputError, RSSpadeWarning, explain
from rsspade.training.contract import RunOptions, Trained
from rsspade.training.record import Meter
from rsspade.training.run_folder import RunFolder, changed_option, flatten_mapping
from rsspade.training.state import Checkpoint, find_checkpoints, load_optimizer, read_checkpoint

__all__ = ["begins_anew", "digest", "find_state", "restore"]


def begins_anew(folder: RunFolder, config: RunOptions) -> bool:
    """Whether there is nothing to go on from, so that the run begins with its first weights."""
    return config.resume_from is None and not (config.resume and find_checkpoints(folder.checkpoints))


_ALWAYS_TOLD = ("split_sha256", "name", "tiles")
"""What checkpoints of all versions say of their data."""


def digest(content: object) -> str:
    """A short name of what JSON can hold; with it a checkpoint tells other labels or images from its own."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def find_state(folder: RunFolder, config: RunOptions, data: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint to go on from; None where the run begins.

    `resume` takes the newest that is whole and says which ones it passed over; where none is whole, that is an error
    and not a new beginning, which would write over what is left. `resume_from` takes that one or none.
    """
    if config.resume_from is not None:
        chosen = folder.checkpoints / config.resume_from.rstrip("/").rpartition("/")[2]
        there = [path.name for path in find_checkpoints(folder.checkpoints)]
        if chosen.name not in there:
            raise ConfigError(
                explain("--resume_from", expected=f"one of {', '.join(there)}" if there else f"a checkpoint in {folder.checkpoints}",
                        found=config.resume_from if there else "none", fix="Name one of them, or pass --resume for the newest." if there else "Leave it out.")
            )  # fmt: skip
        return _ours(read_checkpoint(chosen), config, data)
    if not config.resume:
        return None
    problem: InputError | None = None
    for path in find_checkpoints(folder.checkpoints):
        try:
            found = read_checkpoint(path)
        except InputError as err:
            problem = problem or err
            continue
        if problem is not None:
            warnings.warn(f"{problem} Going on from {path.name}, the last good one.", RSSpadeWarning, stacklevel=2)
        return _ours(found, config, data)
    if problem is not None:
        raise problem
    return None


def _ours(found: Checkpoint, config: RunOptions, data: Mapping[str, Any]) -> Checkpoint:
    name = changed_option(flatten_mapping(found.state["config"]), config)
    if name is not None:
        raise InputError(
            explain(found.path, expected="a checkpoint of this run", found=f"one with another --{name}",
                    fix="Repeat the options it was made with, or choose another --out.")
        )  # fmt: skip
    held = found.state.get("data")
    told = held if isinstance(held, Mapping) else {}
    # What older checkpoints did not tell yet cannot be held against them.
    others = [key for key, value in data.items() if (key in told or key in _ALWAYS_TOLD) and told.get(key) != value]
    if others:
        raise InputError(
            explain(found.path, expected="a checkpoint of this dataset and split", found=f"one of another ({others[0].replace('_', ' ')})",
                    fix="Name the dataset that the run began with, or choose another --out.")
        )  # fmt: skip
    return found


def restore(found: Checkpoint, networks: Trained, meter: Meter) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint into place; returns the step and the best validation so far."""
    try:
        for name, module in networks.modules.items():
            module.load_state_dict(found.tensors[name])
        for name, optimizer in networks.optimizers.items():
            load_optimizer(optimizer, found.tensors[f"{name}_optimizer"])
        meter.load(found.state["meter"])
        return int(found.state["step"]), dict(found.state["best"])
    except (KeyError, RuntimeError, IndexError, TypeError, ValueError) as err:
        found_text = " ".join(str(err).split())[:200]
        raise InputError(
            explain(found.path, expected="the state of these networks", found=found_text,
                    fix="It was made by another version, or is foreign: begin in another --out.")
        ) from err  # fmt: skip
