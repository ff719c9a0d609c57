"""Score tables: answers side by side under each measure, the best run and what loses to the class mean marked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MEASURES",
    "Answered",
    "Cell",
    "Column",
    "Measure",
    "Row",
    "Table",
    "overall_table",
    "score_table",
    "value_of",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """How a score is called and shown."""

    title: str
    unit: str = ""
    shown: str = "{:.3f}"
    higher_is_better: bool = False

    def text(self, value: float | None) -> str:
        """The score as it is printed."""
        return "–" if value is None else self.shown.format(value).replace("-", "−")

    def beats(self, one: float, other: float) -> bool:
        """Whether the first is better."""
        return one > other if self.higher_is_better else one < other


MEASURES = {
    "psnr": Measure(title="PSNR", unit="dB", shown="{:.2f}", higher_is_better=True),
    "ssim": Measure(title="SSIM", higher_is_better=True),
    "sam_deg": Measure(title="Spectral angle", unit="°", shown="{:.2f}"),
    "rmse": Measure(title="RMSE", shown="{:.4f}"),
    "mae": Measure(title="MAE", shown="{:.4f}"),
    "ergas": Measure(title="ERGAS", shown="{:.1f}"),
    "miou": Measure(title="mIoU", higher_is_better=True),
    "accuracy": Measure(title="Accuracy", higher_is_better=True),
    "kappa": Measure(title="Kappa", higher_is_better=True),
    "mpa": Measure(title="Mean PA", higher_is_better=True),
    "fwiou": Measure(title="FWIoU", higher_is_better=True),
    "iou": Measure(title="IoU", higher_is_better=True),
    "pa": Measure(title="Producer’s accuracy", higher_is_better=True),
    "ua": Measure(title="User’s accuracy", higher_is_better=True),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A column of scores: its key, its name, the series of its colour, and whether it is a run or a baseline."""

    key: str
    name: str
    series: str
    is_run: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One number; `sort` orders it (empty: last), `mark` is `best`, `worse` or nothing."""

    text: str
    sort: float | str = ""
    mark: str = ""
    is_number: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line; `swatch` is the colour of a class, `link` the picture of a tile."""

    name: str
    cells: tuple[Cell, ...]
    swatch: str = ""
    series: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading."""

    name: str
    series: str = ""
    is_number: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table ready to draw; `groups` are headings over several columns: (title, unit, columns)."""

    caption: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    groups: tuple[tuple[str, str, int], ...] = ()
    note: str = ""


def value_of(scores: Mapping[str, Any] | None, measure: str) -> float | None:
    """A score, None where it is undefined or was not taken."""
    if scores is None:
        return None
    value = scores.get(measure)
    if measure == "sam_deg" and value is None and scores.get("sam_rad") is not None:
        value = math.degrees(scores["sam_rad"])
    return None if value is None else float(value)


def overall_table(
    caption: str, answers: Sequence[Answered], scores: Mapping[str, Mapping[str, Any]], *, measures: Sequence[str]
) -> Table:
    """A row per answer, a column per measure."""
    marks = {m: _marks({a: value_of(scores[a.key], m) for a in answers}, MEASURES[m]) for m in measures}
    rows = []
    for answer in answers:
        values = {m: value_of(scores[answer.key], m) for m in measures}
        cells = tuple(_cell(value, MEASURES[m], marks[m].get(answer.key, "")) for m, value in values.items())
        rows.append(Row(name=answer.name, cells=cells, series=answer.series))
    known = [MEASURES[name] for name in measures]
    columns = tuple(Column(m.title + (f" ({m.unit})" if m.unit else "")) for m in known)
    return Table(caption=caption, corner="Answer", columns=columns, rows=tuple(rows))


def score_table(
    caption: str,
    corner: str,
    answers: Sequence[Answered],
    lines: Sequence[tuple[str, str, Mapping[str, Mapping[str, Any] | None]]],
    *,
    measures: Sequence[str],
    count: tuple[str, Sequence[int]] | None = None,
    note: str = "",
) -> Table:
    """A row per band, class or subset; under each measure a column per answer.

    Args:
        caption: What the table holds.
        corner: What a row is.
        answers: The columns.
        lines: Name, colour of its class or nothing, and the scores of each answer by its key.
        measures: Which, by key.
        count: Heading and values of a first column of whole numbers.
        note: Small print.
    """
    rows = []
    for n, (name, swatch, scores) in enumerate(lines):
        cells = [Cell(f"{count[1][n]:,}".replace(",", " "), count[1][n])] if count else []
        for measure in measures:
            values = {a: value_of(scores.get(a.key), measure) for a in answers}
            marks = _marks(values, MEASURES[measure])
            cells += [_cell(value, MEASURES[measure], marks.get(a.key, "")) for a, value in values.items()]
        rows.append(Row(name=name, cells=tuple(cells), swatch=swatch))
    titles = [(MEASURES[m].title, MEASURES[m].unit, len(answers)) for m in measures]
    columns = [Column(count[0])] if count else []
    columns += [Column(a.name, a.series) for _ in measures for a in answers]
    groups = ([("", "", 1)] if count else []) + titles
    return Table(
        caption=caption, corner=corner, columns=tuple(columns), rows=tuple(rows), groups=tuple(groups), note=note
    )


def _marks(values: Mapping[Answered, float | None], measure: Measure) -> dict[str, str]:
    """The best of several runs, and every run that a colour table beats."""
    runs = {a.key: v for a, v in values.items() if a.is_run and v is not None}
    floor = next((v for a, v in values.items() if a.key == "class_mean" and v is not None), None)
    marks = {}
    for key, value in runs.items():
        if floor is not None and measure.beats(floor, value):
            marks[key] = "worse"
        elif len(runs) > 1 and not any(measure.beats(other, value) for other in runs.values()):
            marks[key] = "best"
    return marks


def _cell(value: float | None, measure: Measure, mark: str) -> Cell:
    return Cell(measure.text(value), "" if value is None else value, mark)
