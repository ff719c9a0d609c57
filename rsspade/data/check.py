"""`rsspade check`: a dataset read as a sceptic, tile by tile, in memory that its size does not change."""

from pathlib import Path
from typing import Protocol

from rsspade.data.check_alignment import AlignmentCheck
from rsspade.data.check_cover import CoverCheck
from rsspade.data.check_files import FileCheck, TileView
from rsspade.data.check_report import Report, Section
from rsspade.data.check_splits import SplitCheck, date_section
from rsspade.data.check_terrain import TerrainCheck
from rsspade.data.check_values import ValueCheck
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, explain
from rsspade.progress import progress_bar

__all__ = ["check_dataset"]


class _Check(Protocol):
    """Sees the tiles one by one, then says what it found."""

    def add(self, tile: TileView) -> None: ...

    def section(self) -> Section: ...


def check_dataset(path: str | Path, *, run: Path | None = None) -> Report:
    """Look at every file of a dataset.

    Args:
        path: The dataset folder.
        run: A run folder, or a generator folder: do the two fit?

    Returns:
        The findings; `Report.failed` tells whether something is wrong.
    """
    dataset = DatasetFolder.open(path)
    if not dataset.rows:
        raise InputError(
            explain(
                dataset.path / "tiles.csv",
                expected="at least one tile",
                found="none",
                fix="Make the dataset again.",
            )
        )
    fit = [] if run is None else [_fit(dataset, run)]  # first: a folder that is no run ends it here
    files = FileCheck(dataset)
    checks: tuple[_Check, ...] = (
        ValueCheck(dataset), CoverCheck(dataset), TerrainCheck(dataset), AlignmentCheck(dataset), SplitCheck(dataset),
    )  # fmt: skip
    with progress_bar(total=len(dataset.rows), title="check") as bar:
        for row in dataset.rows:
            tile = files.read(row)
            for check in (*checks, *fit):
                check.add(tile)
            bar.update(1)
    sections = [files.section(), *(check.section() for check in checks), date_section(dataset)]
    sections += [check.section() for check in fit]
    return Report(
        dataset=str(dataset.path), num_tiles=len(dataset.rows), sections=[s for s in sections if s.findings]
    )  # fmt: skip


def _fit(dataset: DatasetFolder, run: Path) -> _Check:
    from rsspade.data.check_run import RunCheck  # torch loads where a run is looked at

    return RunCheck(dataset, run)
