"""From run folders to the page: what is read, what is scored, and what is missing."""

from collections.abc import Sequence
from pathlib import Path

from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, explain
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade, num_parameters
from rsspade.report.group import ScoredRun, build_group
from rsspade.report.page import Note, Page, ReportedRun
from rsspade.report.runs import Run, open_run
from rsspade.report.scoring import score_run

__all__ = ["build_page"]

_COLOURS = 6


def build_page(paths: Sequence[Path], data: Path | None) -> Page:
    """Read every run, score those that can be scored, and put it all together.

    Args:
        paths: Run folders.
        data: The dataset to score on; by default that of each run, where it still lies where it was.
    """
    runs = [open_run(path) for path in paths]
    given = DatasetFolder.open(data) if data is not None else None
    names = _names(runs)
    page = Page(title=_title(names), runs=[])
    groups: dict[Path, tuple[DatasetFolder, list[ScoredRun]]] = {}
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        series = f"run{number % _COLOURS + 1}"
        if run.history.cut_short:
            page.notes.append(
                Note(f"{name}:", "the last line of its metrics.jsonl is cut short, as an interrupted run leaves it.")
            )
        if run.generator is None:
            page.notes.append(
                Note(
                    f"{name} has no generator yet:",
                    "it has not been validated once. Only its curves and options are shown.",
                )
            )
            page.runs.append(ReportedRun(run=run, name=name, series=series))
            continue
        model = RSSpade.from_pretrained(find_generator(run.path))
        dataset = given or _own_dataset(run, name, page.notes)
        page.runs.append(
            ReportedRun(
                run=run,
                name=name,
                series=series,
                parameters=num_parameters(model.network),
                folder=dataset.info.name if dataset else "–",
            )
        )
        if dataset is not None:
            _note_other_split(run, name, model, dataset, page.notes)
            scored = ScoredRun(
                name=name, series=series, model=model, scores=score_run(model, dataset, split=_split(dataset))
            )
            groups.setdefault(dataset.path.resolve(), (dataset, []))[1].append(scored)
    for number, (dataset, scored_runs) in enumerate(groups.values()):
        split = _split(dataset)
        if split != "test":
            page.notes.append(
                Note(
                    "No test split:",
                    f"{dataset.info.name} has none, so the {split} split is scored, which also chose the best step.",
                )
            )
        page.groups.append(build_group(number, dataset, scored_runs, split))
    return page


def _own_dataset(run: Run, name: str, notes: list[Note]) -> DatasetFolder | None:
    if not run.data or not Path(run.data).is_dir():
        where = f"it is no longer at {run.data}" if run.data else "it does not say where that is"
        notes.append(
            Note(
                f"{name} was not scored",
                f"for want of its dataset: {where}. Name one with --data to see scores, pictures and spectra.",
            )
        )
        return None
    return DatasetFolder.open(run.data)


def _note_other_split(run: Run, name: str, model: RSSpade, dataset: DatasetFolder, notes: list[Note]) -> None:
    here, there = str(dataset.info.split.get("sha256", "")), model.info.split_sha256
    if here and there and here != there:
        notes.append(
            Note(
                f"{name} was trained on another split or dataset:",
                "the tiles scored here may have been among its training tiles, or lie in a land it has never seen.",
            )
        )


def _split(dataset: DatasetFolder) -> str:
    for split in ("test", "val"):
        if dataset.in_split(split):
            return split
    raise InputError(
        explain(
            dataset.path,
            expected="tiles in the test split",
            found="none",
            fix="Name a dataset with a test split with --data.",
        )
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with as much of the path as tells them apart."""
    names = [run.name for run in runs]
    for n, run in enumerate(runs):
        if names.count(run.name) > 1:
            names[n] = f"{run.path.resolve().parent.name}/{run.name}"
    return [name if names.count(name) == 1 else f"{name} ({n + 1})" for n, name in enumerate(names)]


def _title(names: Sequence[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else " and ".join((", ".join(names[:-1]), names[-1]))
        if len(names) < 4
        else f"{len(names)} runs"
    )
