"""What a run folder says of itself: its options, its history, its generator. Everything in it may come from anybody."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rsspade.errors import InputError, explain
from rsspade.options import parse_yaml

__all__ = ["History", "Run", "flattened", "open_run", "read_history"]

_MAX_CONFIG_BYTES = 1024 * 1024
_MAX_HISTORY_BYTES = 256 * 1024 * 1024
_RESTORE = "Restore the file, or name another run."


@dataclass(frozen=True, slots=True)
class History:
    """`metrics.jsonl` as curves: name -> (step, value) in the order of the steps.

    Attributes:
        losses: Training losses by name.
        scores: Validation scores by name.
        best_step: Of the validation that gave `generator/`; None where there is none.
        cut_short: Whether the last line is broken, as a kill leaves it.
        diverged_at: The step at which the run gave up, its losses no longer finite.
    """

    losses: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    scores: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    best_step: int | None = None
    cut_short: bool = False
    diverged_at: int | None = None

    @property
    def last_step(self) -> int:
        """The last step that was written down; 0 where none was."""
        return max((points[-1][0] for points in (*self.losses.values(), *self.scores.values())), default=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run.

    Attributes:
        name: For people: the name of its folder.
        path: The folder.
        options: The content of `config.yaml`; empty where a generator folder was named.
        history: Its curves.
        generator: The content of the generator's `config.json`; None where there is none yet.
        segmenter: The same of a segmentation run, which has that instead.
        commit: Of the code that trained it last, from `environment.json`; empty where unknown.
        weights: The first digits of the SHA-256 of the weights.
    """

    name: str
    path: Path
    options: dict[str, Any]
    history: History
    generator: dict[str, Any] | None
    segmenter: dict[str, Any] | None
    commit: str
    weights: str

    @property
    def is_segmentation(self) -> bool:
        """Whether it draws maps; it may not have drawn any yet."""
        return self.segmenter is not None or ("network" in self.options and "generator" not in self.options)

    @property
    def described(self) -> dict[str, Any]:
        """What its network says of itself; empty where there is none yet."""
        return self.generator or self.segmenter or {}

    @property
    def data(self) -> str:
        """Where its dataset lay when it was trained; empty where unknown."""
        found = self.options.get("data", "")
        return found if isinstance(found, str) else ""


def open_run(path: Path) -> Run:
    """Read a run folder, or a generator folder; refuses what is neither."""
    if not path.is_dir():
        raise InputError(explain(path, expected="a run folder", found="no such folder", fix="Correct the path."))
    config, alone = path / "config.yaml", path / "config.json"
    if not config.is_file() and not alone.is_file():
        raise InputError(
            explain(path, expected="a run folder with config.yaml in it", found="none", fix="Name the --out of a training run.")
        )  # fmt: skip
    folder = path if alone.is_file() else path / "generator"
    generator, segmenter = folder / "config.json", path / "model" / "config.json"
    weights = folder if generator.is_file() else path / "model"
    return Run(
        name=path.resolve().name,
        path=path,
        options=_read_options(config) if config.is_file() else {},
        history=read_history(path / "metrics.jsonl"),
        generator=_read_network(generator) if generator.is_file() else None,
        segmenter=_read_network(segmenter) if segmenter.is_file() else None,
        commit=_read_commit(path / "environment.json"),
        weights=_digest(weights / "model.safetensors"),
    )


def read_history(path: Path) -> History:
    """Read `metrics.jsonl`; empty where there is none. A broken last line is what a kill leaves, and is passed over."""
    if not path.is_file():
        return History()
    lines = _read_text(path, _MAX_HISTORY_BYTES).splitlines()
    losses: dict[str, list[tuple[int, float]]] = {}
    scores: dict[str, list[tuple[int, float]]] = {}
    best, cut_short, diverged = None, False, None
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            step = entry["step"]
            if isinstance(step, bool) or not isinstance(step, int):
                raise TypeError(f"step {step!r}")  # noqa: TRY301 (one handler names the line for all)
            _append(losses, step, entry.get("loss", {}))
            _append(scores, step, entry.get("val", {}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            if number == len(lines):
                cut_short = True
                break
            raise InputError(
                explain(f"{path} line {number}", expected="a JSON object with a step", found=repr(line[:60]), fix=_RESTORE)
            ) from err  # fmt: skip
        if entry.get("best") is True:
            best = step
        if "diverged" in entry:
            diverged = step
    return History(losses, scores, best, cut_short, diverged)


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Options by dotted name, as text."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else _plain(value)
    return flat


def _plain(value: object) -> str:
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _append(curves: dict[str, list[tuple[int, float]]], step: int, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            curves.setdefault(str(name), []).append((step, float(value)))


def _read_options(path: Path) -> dict[str, Any]:
    text = _read_text(path, _MAX_CONFIG_BYTES)
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as err:
        raise InputError(explain(path, expected="the options of a run", found="broken YAML", fix=_RESTORE)) from err
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise InputError(explain(path, expected="the options of a run", found=found, fix=_RESTORE))
    return {str(name): value for name, value in content.items()}


def _read_commit(path: Path) -> str:
    """The commit of the last session; a file that cannot be understood says nothing, and spoils nothing."""
    if not path.is_file():
        return ""
    try:
        content = json.loads(_read_text(path, _MAX_CONFIG_BYTES))
        found = content[-1]["commit"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _read_network(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path, _MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as err:
        raise InputError(
            explain(path, expected="the description of a network", found="broken JSON", fix=_RESTORE)
        ) from err
    if not isinstance(content, dict):
        raise InputError(
            explain(path, expected="the description of a network", found=type(content).__name__, fix=_RESTORE)
        )
    return content


def _read_text(path: Path, highest: int) -> str:
    try:
        if path.stat().st_size > highest:
            raise InputError(
                explain(path, expected=f"at most {highest} bytes", found=str(path.stat().st_size), fix=_RESTORE)
            )
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as err:
        raise InputError(
            explain(path, expected="a file that can be read", found=err.strerror or str(err), fix=_RESTORE)
        ) from err


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
