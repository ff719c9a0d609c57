"""From run folders to the page: what is read, what is scored, and what is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, explain
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade, num_parameters
from rsspade.report.group import build_group
from rsspade.report.page import Note, Page, ReportedRun
from rsspade.report.runs import Run, open_run
from rsspade.report.scoring import score_run
from rsspade.report.segmentation import MapRun, build_map_group, read_map_scores, same_tiles
from rsspade.report.tiles import ScoredRun

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
    page = Page(
        title=_title(names),
        runs=[],
        notes=[n for run, name in zip(runs, names, strict=True) for n in _notes(run, name)],
    )
    groups: dict[tuple[Path, tuple[str, ...]], tuple[DatasetFolder, list[ScoredRun]]] = {}
    maps: list[MapRun] = []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        reported = ReportedRun(run=run, name=name, series=f"run{number % _COLOURS + 1}")
        dataset = None
        if run.is_segmentation:
            maps += _map_run(run, reported, number, page.notes)
            reported = replace(
                reported, folder=str(maps[-1].scores.get("dataset", "–")) if maps and maps[-1].name == name else "–"
            )
        if run.generator is not None:
            model = RSSpade.from_pretrained(find_generator(run.path))
            reported = replace(reported, parameters=num_parameters(model.network))
            dataset = given or _own_dataset(run, name, page.notes)
        if dataset is not None:
            page.notes += _split_notes(name, model, dataset)
            reported = replace(reported, folder=dataset.info.name)
            scores = score_run(model, dataset, split=_split(dataset))
            scored = ScoredRun(key=f"r{number}", name=name, series=reported.series, model=model, scores=scores)
            # Scores over other bands are other scores, and so are their baselines.
            key = dataset.path.resolve(), model.info.architecture.optical_bands
            groups.setdefault(key, (dataset, []))[1].append(scored)
        page.runs.append(reported)
    page.groups += [build_group(n, d, scored_runs, _split(d)) for n, (d, scored_runs) in enumerate(groups.values())]
    page.maps += [
        build_map_group(n, drawn, given or _same_dataset(drawn, runs))
        for n, drawn in enumerate(same_tiles(maps).values())
    ]
    return page


def _map_run(run: Run, reported: ReportedRun, number: int, notes: list[Note]) -> list[MapRun]:
    """A segmentation run with its scores; a note on how to get them where there are none."""
    scores = read_map_scores(run.path / "scores.json")
    if scores is None:
        told = f"Run `python -m segmentation.evaluate --run {run.path} --data DATASET --json {run.path / 'scores.json'} --maps {run.path / 'maps'}` first to see its scores and maps."
        notes.append(Note(f"{reported.name} has no scores yet.", told))
        return []
    return [MapRun(key=f"r{number}", name=reported.name, series=reported.series, scores=scores, maps=run.path / "maps")]


def _same_dataset(maps: Sequence[MapRun], runs: Sequence[Run]) -> DatasetFolder | None:
    """The dataset that the maps were scored on, where a run still knows it; recognised by its split."""
    for path in dict.fromkeys(run.data for run in runs if run.data):
        if Path(path).is_dir():
            dataset = DatasetFolder.open(path)
            if dataset.info.split.get("sha256") == maps[0].scores.get("split_sha256"):
                return dataset
    return None


def _notes(run: Run, name: str) -> list[Note]:
    """What a reader must know of a run's history."""
    notes = []
    if run.history.cut_short:
        notes.append(
            Note(f"{name}:", "the last line of its metrics.jsonl is cut short, as an interrupted run leaves it.")
        )
    if run.history.diverged_at is not None:
        notes.append(Note(f"{name} diverged", f"at step {run.history.diverged_at}: its losses were no longer finite."))
    if run.generator is None and not run.is_segmentation:
        told = "it has not been validated once. Only its curves and options are shown."
        notes.append(Note(f"{name} has no generator yet:", told))
    return notes


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


def _split_notes(name: str, model: RSSpade, dataset: DatasetFolder) -> list[Note]:
    notes = []
    here, there = str(dataset.info.split.get("sha256", "")), model.info.split_sha256
    if here and there and here != there:
        told = "the tiles scored here may have been among its training tiles, or lie in a land it has never seen."
        notes.append(Note(f"{name} was trained on another split or dataset:", told))
    if _split(dataset) != "test":
        told = (
            f"{dataset.info.name} has none, so the {_split(dataset)} split is scored, which also chose the best step."
        )
        notes.append(Note("No test split:", told))
    return notes


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
        if [other.name for other in runs].count(run.name) > 1:
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
