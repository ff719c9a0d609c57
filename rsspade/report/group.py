"""The runs that were scored on one dataset: how good they are, their tables, spectra and tiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import BASELINES
from rsspade.models import RSSpade
from rsspade.report.answers import answer_tile
from rsspade.report.charts import Chart, Scale, class_chart, scale_chart
from rsspade.report.findings import Sentence, lead, plain, weak_points
from rsspade.report.pictures import PagePicture, input_pictures, map_pictures, optical_pictures
from rsspade.report.scoring import RunScores
from rsspade.report.tables import MEASURES, Answered, Cell, Column, Row, Table, overall_table, score_table, value_of

__all__ = ["BAR_RAMP", "Group", "ScoredRun", "build_group"]

BAR_RAMP = np.tile(np.linspace(0, 1, 256), (1, 1))
_SERIES = {"class_mean": "floor", "copy_of_input": "copy", "oracle": "bound"}
_FEW_PIXELS = 2000
_MOST_TILES = 1000
"""Lines of the table of tiles; beyond, the worst are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRun:
    """A run with its model and its scores."""

    name: str
    series: str
    model: RSSpade
    scores: RunScores


@dataclass(frozen=True, kw_only=True, slots=True)
class TileRun:
    """What one run makes of a tile."""

    name: str
    series: str
    pictures: list[PagePicture]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A tile that is shown."""

    id: str
    rank: str
    name: str
    scene: str
    scores: Sentence
    real: list[PagePicture]
    runs: list[TileRun]
    inputs: list[PagePicture]


@dataclass(kw_only=True, slots=True)
class Section:
    """A heading with tables and charts beneath."""

    id: str
    title: str
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    charts_title: str = ""
    charts_intro: str = ""
    legend: list[tuple[str, str]] = field(default_factory=list)
    y_label: str = ""


@dataclass(frozen=True, slots=True)
class ClassColour:
    """An entry of the legend of land cover."""

    name: str
    colour: str


@dataclass(kw_only=True, slots=True)
class Group:
    """What the template draws of one dataset."""

    id: str
    dataset: str
    heading: str
    chosen_by: str
    lead: list[Sentence]
    findings: list[Sentence]
    scales: list[Scale]
    tiles: list[Tile]
    tables: list[Section]
    classes: list[ClassColour]

    def links(self, *, alone: bool) -> list[tuple[str, str]]:
        """Section -> name, for the top of the page."""
        if not alone:
            return [(f"{self.id}-short", self.dataset)]
        return [
            (f"{self.id}-short", "In short"),
            (f"{self.id}-pictures", "Pictures"),
            *((s.id, s.title) for s in self.tables),
        ]


def build_group(number: int, dataset: DatasetFolder, runs: Sequence[ScoredRun], split: str) -> Group:
    """Everything about the runs on one dataset."""
    own_id = f"d{number}"
    first = runs[0].scores.summary
    answers = [Answered(r.series, r.name, r.series, True) for r in runs]
    answers += [
        Answered(k, BASELINES[k].split(" (")[0], _SERIES[k], False) for k in BASELINES if k in first["baselines"]
    ]
    scores = {r.series: r.scores.summary for r in runs} | first["baselines"]
    means = _mean_psnr(runs)
    shown = _chosen(means)
    tiles = [_tile(dataset, runs, f"{own_id}-t{n}", rank, name) for n, (rank, name) in enumerate(shown)]
    rows = _tile_table(dataset, runs, means, {tile.name: tile.id for tile in tiles}, split)
    sections = [
        Section(id=f"{own_id}-bands", title="Bands", tables=[overall_table("All bands", answers, scores), _band_table(answers, scores)]),
        _class_section(f"{own_id}-classes", dataset, runs, answers, scores),
        Section(id=f"{own_id}-sources", title="Sources", tables=[_source_table(runs, answers)]),
        Section(id=f"{own_id}-tiles", title="All tiles", tables=[rows]),
    ]  # fmt: skip
    only = len(runs) == 1
    return Group(
        id=own_id, dataset=dataset.info.name, heading=f"How good it is on {dataset.info.name}, {split} split",
        chosen_by="" if only else ", mean over the runs", lead=[lead(r.name, r.scores.summary) for r in runs],
        findings=[s for r in runs for s in weak_points("" if only else r.name, r.scores)],
        scales=_scales(answers, scores), tiles=tiles, tables=[s for s in sections if s.tables],
        classes=[ClassColour(plain(c.name), c.colour) for c in dataset.scheme.classes] if "LULC" in dataset.info.sources else [],
    )  # fmt: skip


def _scales(answers: Sequence[Answered], scores: Mapping[str, Mapping[str, Any]]) -> list[Scale]:
    out = []
    for key in ("psnr", "ssim", "sam_deg"):
        measure = MEASURES[key]
        known = [(a.name, a.series, v) for a in answers if (v := value_of(scores[a.key], key)) is not None]
        if known:
            title = measure.title + (f" ({measure.unit})" if measure.unit else "")
            out.append(scale_chart(title, known, higher_is_better=measure.higher_is_better, shown=measure.shown))
    return out


def _band_table(answers: Sequence[Answered], scores: Mapping[str, Mapping[str, Any]]) -> Table:
    bands = list(next(iter(scores.values()))["per_band"])
    lines = [(band, "", {key: own["per_band"].get(band) for key, own in scores.items()}) for band in bands]
    return score_table("Per band", "Band", answers, lines, measures=("psnr", "ssim", "rmse"))


def _class_section(
    own_id: str,
    dataset: DatasetFolder,
    runs: Sequence[ScoredRun],
    answers: Sequence[Answered],
    scores: Mapping[str, Mapping[str, Any]],
) -> Section:
    section = Section(id=own_id, title="Land cover")
    classes = [c for c in dataset.scheme.classes if c.name in scores[runs[0].series].get("per_class", {})]
    if not classes:
        return section
    lines = [
        (plain(c.name), c.colour, {k: own.get("per_class", {}).get(c.name) for k, own in scores.items()})
        for c in classes
    ]
    pixels = [int(scores[runs[0].series]["per_class"][c.name]["pixels"]) for c in classes]
    section.tables = [
        score_table(
            "Per land-cover class",
            "Class",
            answers,
            lines,
            measures=("psnr", "sam_deg", "rmse"),
            count=("Pixels", pixels),
        )
    ]
    section.charts_title = "Mean spectra, real against synthetic"
    section.charts_intro = "Mean reflectance of each class, the shaded bands one standard deviation wide on either side. A narrower synthetic band means pixels that are too much alike."
    section.legend = [("real", "truth"), *((r.name, r.series) for r in runs)]
    section.charts = _spectra(runs, [(c.name, c.colour) for c in classes])
    return section


def _spectra(runs: Sequence[ScoredRun], classes: Sequence[tuple[str, str]]) -> list[Chart]:
    bands = list(runs[0].scores.summary["per_band"])
    charts = []
    for name, colour in classes:
        curves: dict[str, tuple[str, Sequence[float], Sequence[float]]] = {}
        for run in runs:
            own = run.scores.summary["per_class"].get(name)
            if own is None or list(run.scores.summary["per_band"]) != bands or None in own["mean_made"]:
                continue
            curves.setdefault("real", ("truth", own["mean_true"], own["std_true"]))
            curves[run.name] = (run.series, own["mean_made"], own["std_made"])
        if curves:
            highest = max(m + d for _, mean, std in curves.values() for m, d in zip(mean, std, strict=True))
            pixels = int(runs[0].scores.summary["per_class"][name]["pixels"])
            note = f"{pixels} pixels only" if pixels < _FEW_PIXELS else ""
            charts.append(class_chart(plain(name), bands, curves, highest=highest, note=note, swatch=colour))
    return charts


def _source_table(runs: Sequence[ScoredRun], answers: Sequence[Answered]) -> Table:
    subsets = list(dict.fromkeys(s for run in runs for s in run.scores.subsets))
    floor = runs[0].scores.summary["baselines"].get("class_mean")
    lines = [
        (" + ".join(s), "", {r.series: r.scores.subsets.get(s) for r in runs} | {"class_mean": floor}) for s in subsets
    ]
    wanted = [a for a in answers if a.is_run or a.key == "class_mean"]
    return score_table(
        "From which sources", "Sources", wanted, lines, measures=("psnr", "ssim", "sam_deg"),
        note="The class-mean image always sees the land cover.",
    )  # fmt: skip


def _mean_psnr(runs: Sequence[ScoredRun]) -> dict[str, float]:
    """Tile -> PSNR, mean over the runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for row in run.scores.per_tile:
            if row["psnr"] is not None:
                found.setdefault(row["tile"], []).append(row["psnr"])
    return {tile: sum(values) / len(values) for tile, values in found.items()}


def _chosen(means: Mapping[str, float]) -> list[tuple[str, str]]:
    ordered = sorted(means, key=lambda tile: (-means[tile], tile))
    places = {"Best": 0, "Median": len(ordered) // 2, "Worst": len(ordered) - 1}
    chosen: dict[str, str] = {}
    for rank, place in places.items():
        if ordered and ordered[place] not in chosen.values():
            chosen[rank] = ordered[place]
    return list(chosen.items())


def _tile(dataset: DatasetFolder, runs: Sequence[ScoredRun], own_id: str, rank: str, name: str) -> Tile:
    row = next(r for r in dataset.rows if r.tile == name)
    real: list[PagePicture] = []
    shown, words = [], []
    for run in runs:
        answer = answer_tile(run.model, dataset, row)
        real = real or optical_pictures(answer.truth, answer.bands, what="real", role="real", tile=name)
        made = optical_pictures(answer.image, answer.bands, what=f"synthetic by {run.name}", role=run.series, tile=name)
        shown.append(
            TileRun(name=run.name, series=run.series, pictures=[*made, *map_pictures(answer, run=run.name, tile=name)])
        )
        scores: Mapping[str, Any] = next((r for r in run.scores.per_tile if r["tile"] == name), {})
        told = ", ".join(
            f"{MEASURES[m].title} {MEASURES[m].text(value_of(scores, m))}{MEASURES[m].unit and ' ' + MEASURES[m].unit}"
            for m in ("psnr", "ssim", "sam_deg")
        )
        words += [
            (f"{run.name}: " if len(runs) > 1 else "", True),
            (told + ("  ·  " if run is not runs[-1] else ""), False),
        ]
    return Tile(
        id=own_id, rank=rank, name=name, scene=f"scene {row.scene}" + (f", {row.s2_date}" if row.s2_date else ""), scores=words,
        real=real, runs=shown, inputs=input_pictures(dataset, row),
    )  # fmt: skip


def _tile_table(
    dataset: DatasetFolder, runs: Sequence[ScoredRun], means: Mapping[str, float], links: Mapping[str, str], split: str
) -> Table:
    scenes = {row.tile: row.scene for row in dataset.rows}
    by_run = {run.series: {row["tile"]: row for row in run.scores.per_tile} for run in runs}
    rows = []
    for tile in sorted(means, key=lambda name: (means[name], name))[:_MOST_TILES]:
        cells = [Cell(scenes.get(tile, ""), scenes.get(tile, ""), is_number=False)]
        for measure in ("psnr", "ssim", "sam_deg"):
            for run in runs:
                value = value_of(by_run[run.series].get(tile), measure)
                cells.append(Cell(MEASURES[measure].text(value), "" if value is None else value))
        rows.append(Row(name=tile, cells=tuple(cells), link=links.get(tile, "")))
    columns = [Column("Scene", is_number=False), *(Column(r.name, r.series) for _ in range(3) for r in runs)]
    groups = [("", "", 1), *((MEASURES[m].title, MEASURES[m].unit, len(runs)) for m in ("psnr", "ssim", "sam_deg"))]
    note = "worst first" + (f", the worst {_MOST_TILES} of {len(means)}" if len(means) > _MOST_TILES else "")
    return Table(
        caption=f"Tiles of the {split} split",
        corner="Tile",
        columns=tuple(columns),
        rows=tuple(rows),
        groups=tuple(groups),
        note=note,
    )
