"""The run folder: one run in it, its resolved config, and the places of everything that is kept."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from rsspade.data.geotiff import write_bytes_atomically
from rsspade.errors import OutputError, explain
from rsspade.jobs import disk_errors
from rsspade.options import default_options, flatten, parse_yaml, shown, to_yaml
from rsspade.training.contract import RunOptions

__all__ = ["RunFolder", "changed_option", "flatten_mapping"]

_MAX_CONFIG_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The places in a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved options."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One line per logged step or validation."""
        return self.path / "metrics.jsonl"

    @property
    def generator(self) -> Path:
        """The averaged weights of the best validation."""
        return self.path / "generator"

    @property
    def generator_last(self) -> Path:
        """The averaged weights of the last step."""
        return self.path / "generator_last"

    @property
    def model(self) -> Path:
        """As `generator`, where something else than a generator is trained."""
        return self.path / "model"

    @property
    def model_last(self) -> Path:
        """As `generator_last`."""
        return self.path / "model_last"

    @property
    def checkpoints(self) -> Path:
        """Full states."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Pictures."""
        return self.path / "samples"

    @property
    def environment(self) -> Path:
        """Software, commit and machine of each session."""
        return self.path / "environment.json"

    @property
    def events(self) -> Path:
        """Of the tracker."""
        return self.path / "events"

    def lock(self) -> FileLock:
        """Keep a second run out of the folder, if it is one for runs at all; the main process alone calls this."""
        if self.path.exists() and not self.path.is_dir():
            raise self._refusal("a file in its place", "Choose another --out.")
        if not self.config.is_file() and (held := self._held()):
            raise self._refusal(f"other files ({held[0]})", "Choose another --out.")
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout as err:
                raise OutputError(
                    explain(self.path, expected="a run folder that no other run is writing", found="one at work in it",
                            fix="Wait for it, or choose another --out.")
                ) from err  # fmt: skip
        return lock

    def claim(self, config: RunOptions) -> None:
        """Refuse a folder that holds another run; a new one stays empty until nothing can refuse it any more."""
        held = self._held()
        resume = config.resume or config.resume_from is not None
        if held and not resume:
            raise self._refusal("a run", "Add --resume to continue it, or choose another --out.")
        if held:
            self._refuse_other_run(config)

    def leave(self, lock: FileLock) -> None:
        """Let others in; a folder with nothing but the lock in it was refused after all, and goes."""
        if not self._held():
            (self.path / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()
        lock.release()

    def keep(self, config: RunOptions) -> None:
        """Write the resolved config and make the folders, once nothing can refuse the run any more."""
        with disk_errors(self.path):
            for folder in (self.path, self.checkpoints, self.samples, self.events):
                folder.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(self.config, to_yaml(config).encode())

    def _held(self) -> list[str]:
        return sorted(p.name for p in self.path.iterdir() if p.name != ".lock") if self.path.is_dir() else []

    def _refuse_other_run(self, config: RunOptions) -> None:
        try:
            if self.config.stat().st_size > _MAX_CONFIG_BYTES:
                raise ValueError("too large")  # noqa: TRY301 (one handler for all that is wrong with the file)
            before = flatten_mapping(parse_yaml(self.config.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as err:
            raise self._refusal(
                "a run whose config.yaml cannot be read", "Restore it, or choose another --out."
            ) from err
        name = changed_option(before, config)
        if name is not None:
            now = shown(_plain(flatten(config)[name]))
            run = f"a run with --{name} {shown(before[name])}" if name in before else f"a run older than --{name}"
            if name not in before and name in config.once:
                run += f", which was made with {shown(config.once[name])}"
            raise self._refusal(f"{run} (now {now})", "Repeat its options to continue it, or choose another --out.")

    def _refusal(self, found: str, fix: str) -> OutputError:
        return OutputError(explain(self.path, expected="a new folder, or this run", found=found, fix=fix))


def changed_option(before: Mapping[str, Any], config: RunOptions) -> str | None:
    """The first option that differs from an earlier config and would make it another run; None if none does.

    Longer is the same run only where the learning rate does not depend on the length. An option that is newer than
    the run was at its default then, or at what `once` says.
    """
    defaults = {**default_options(type(config)), **config.once}
    for name, value in flatten(config).items():
        if name in config.same_run or (name == "steps" and config.optimizer.schedule == "constant"):
            continue
        earlier = before[name] if name in before else _plain(defaults.get(name))
        if earlier != _plain(value):
            return name
    return None


def flatten_mapping(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options as they were stored, by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten_mapping(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _plain(value: Any) -> Any:  # noqa: ANN401 (any option's value)
    return list(value) if isinstance(value, tuple) else value
