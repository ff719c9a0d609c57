"""What was trained on what: the facts of each run side by side, and all of its options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsspade.report.runs import Run, flattened

__all__ = ["FactLine", "fact_lines", "option_lines", "summary_of"]

_NO_FACT = "–"
_PLACES = ("data", "out", "resume", "resume_from", "init_from")  # where a run lay says nothing about what it is


@dataclass(frozen=True, slots=True)
class FactLine:
    """One line of the table: a name and a value per run."""

    name: str
    values: tuple[str, ...]
    differs: bool = False


def summary_of(run: Run, parameters: int | None) -> str:
    """One line about a run, beside its name."""
    size = "" if parameters is None else f", {_millions(parameters)} parameters"
    steps = run.history.last_step or _training(run).get("step")
    asked = run.options.get("steps", _training(run).get("steps"))
    length = (
        "" if not steps else f", {steps} steps" if steps == asked or asked is None else f", {steps} of {asked} steps"
    )
    dataset = _training(run).get("dataset")
    place = f", trained on {dataset}" if dataset else ""
    return f"{_model(run)} from {_sources(run)}{place}{length}{size}"


def fact_lines(runs: Sequence[Run], parameters: Sequence[int | None], folders: Sequence[str]) -> list[FactLine]:
    """The facts, a line each; lines that no run knows are left out."""
    lines = {
        "Model": [_model(run) for run in runs],
        "Parameters": [_NO_FACT if n is None else f"{n:,}".replace(",", " ") for n in parameters],
        "Sources": [_sources(run) for run in runs],
        "Began with": [_start(run) for run in runs],
        "Trained on": [str(_training(run).get("dataset", _NO_FACT)) for run in runs],
        "Dataset here": list(folders),
        "Synthetic tiles": [str(_training(run).get("synthetic_tiles", _NO_FACT)) for run in runs],
        "Split": [_short(run.described.get("split_sha256")) for run in runs],
        "Steps": [_steps(run) for run in runs],
        "Batch size": [str(run.options.get("batch_size", _training(run).get("batch_size", _NO_FACT))) for run in runs],
        "Losses": [_losses(run) for run in runs],
        "Source dropout": [
            str(run.options.get("source_dropout", _training(run).get("source_dropout", _NO_FACT))) for run in runs
        ],
        "Weights (SHA-256)": [run.weights or _NO_FACT for run in runs],
        "Made with": [str(run.described.get("made_with", _NO_FACT)) for run in runs],
        "Commit": [run.commit[:12] + ("+dirty" if run.commit.endswith("+dirty") else "") or _NO_FACT for run in runs],
    }
    return [FactLine(name, tuple(values)) for name, values in lines.items() if set(values) != {_NO_FACT}]


def option_lines(runs: Sequence[Run]) -> list[FactLine]:
    """All options of `config.yaml`, those that differ first."""
    flat = [flattened(run.options) for run in runs]
    names = dict.fromkeys(name for options in flat for name in options if name not in _PLACES)
    lines = []
    for name in names:
        values = tuple(options.get(name, _NO_FACT) for options in flat)
        lines.append(FactLine(name, values, differs=len(set(values)) > 1))
    return sorted(lines, key=lambda line: not line.differs)


def _training(run: Run) -> Mapping[str, Any]:
    found = run.described.get("training")
    return found if isinstance(found, dict) else {}


def _model(run: Run) -> str:
    architecture = run.described.get("architecture")
    known = architecture.get("model") if isinstance(architecture, dict) else None
    return str(known or run.options.get("model", "unknown model"))


def _sources(run: Run) -> str:
    known = (
        run.described.get("sources") or run.described.get("bands") or run.options.get("sources") or ["unknown sources"]
    )
    return ", ".join(map(str, known)) if isinstance(known, list | dict) else str(known)


def _steps(run: Run) -> str:
    asked, best = run.options.get("steps", _training(run).get("steps")), _training(run).get("step")
    text = f"{run.history.last_step or _NO_FACT} of {asked}" if asked is not None else _NO_FACT
    return f"{text}; best at {best}" if best is not None else text


def _losses(run: Run) -> str:
    found = run.options.get("loss") or _training(run).get("losses")
    if not isinstance(found, dict):
        return _NO_FACT
    used = {name: v for name, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool) and v != 0}
    return " + ".join(f"{value:g} {str(name).replace('_', ' ')}" for name, value in used.items()) or _NO_FACT


def _start(run: Run) -> str:
    """The generator that a run was fine-tuned from."""
    found = _training(run).get("begun_with")
    return _short(found.get("weights_sha256")) if isinstance(found, dict) else _NO_FACT


def _short(digest: object) -> str:
    return digest[:12] if isinstance(digest, str) and digest else _NO_FACT


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
