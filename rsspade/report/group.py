"""The runs that were scored on one dataset: how good they are, their tables, spectra and tiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsspade.data.manifest import DatasetFolder
from rsspade.report.charts import Chart, Scale, class_chart, scale_chart
from rsspade.report.findings import Sentence, lead, plain, weak_points
from rsspade.report.tables import MEASURES, Answered, Table, overall_table, score_table, value_of
from rsspade.report.tiles import ScoredRun, Tile, chosen_tiles, draw_tile, mean_psnr, tile_table

__all__ = ["BAR_RAMP", "Group", "RunFindings", "build_group"]

BAR_RAMP = np.tile(np.linspace(0, 1, 256), (1, 1))
_BASELINE_NAMES = {"class_mean": "class mean", "copy_of_input": "copy of input", "oracle": "upper bound"}
_SERIES = {"class_mean": "floor", "copy_of_input": "copy", "oracle": "bound"}
_OVERALL = ("psnr", "ssim", "sam_deg", "rmse", "mae", "ergas")
_FEW_PIXELS = 2000
_WORLD = "Made in the built-in world: no place on Earth, and not to be set beside scores on real images."


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


@dataclass(frozen=True, slots=True)
class RunFindings:
    """Where one run is weak."""

    name: str
    series: str
    lines: list[Sentence]


@dataclass(kw_only=True, slots=True)
class Group:
    """What the template draws of one dataset."""

    id: str
    dataset: str
    heading: str
    about: str
    chosen_by: str
    lead: list[Sentence]
    findings: list[RunFindings]
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
    answers = [Answered(r.key, r.name, r.series, True) for r in runs]
    answers += [Answered(k, _BASELINE_NAMES[k], _SERIES[k], False) for k in _BASELINE_NAMES if k in first["baselines"]]
    scores = {r.key: r.scores.summary for r in runs} | first["baselines"]
    means = mean_psnr(runs)
    shown = chosen_tiles(means)
    tiles = [draw_tile(dataset, runs, f"{own_id}-t{n}", rank, name) for n, (rank, name) in enumerate(shown)]
    rows = tile_table(dataset, runs, means, {tile.name: tile.id for tile in tiles}, split)
    sections = [
        Section(id=f"{own_id}-bands", title="Bands", tables=[overall_table("All bands", answers, scores, measures=_OVERALL), _band_table(answers, scores)]),
        _class_section(f"{own_id}-classes", dataset, runs, answers, scores),
        Section(id=f"{own_id}-sources", title="Sources", tables=[_source_table(runs, answers)]),
        Section(id=f"{own_id}-tiles", title="All tiles", tables=[rows]),
    ]  # fmt: skip
    only = len(runs) == 1
    return Group(
        id=own_id, dataset=dataset.info.name, heading=f"How good it is on {dataset.info.name}, {split} split",
        about=_WORLD if dataset.info.made_by.get("command") == "world" else "",
        chosen_by="" if only else ", mean over the runs", lead=[lead(r.name, r.scores.summary) for r in runs],
        findings=[RunFindings(r.name, r.series, weak_points(r.scores)) for r in runs],
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
    classes = [c for c in dataset.scheme.classes if c.name in scores[runs[0].key].get("per_class", {})]
    if not classes:
        return section
    lines = [
        (plain(c.name), c.colour, {k: own.get("per_class", {}).get(c.name) for k, own in scores.items()})
        for c in classes
    ]
    pixels = [int(scores[runs[0].key]["per_class"][c.name]["pixels"]) for c in classes]
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
        (" + ".join(s), "", {r.key: r.scores.subsets.get(s) for r in runs} | {"class_mean": floor}) for s in subsets
    ]
    wanted = [a for a in answers if a.is_run or a.key == "class_mean"]
    return score_table(
        "From which sources", "Sources", wanted, lines, measures=("psnr", "ssim", "sam_deg"),
        note="The class-mean image always sees the land cover.",
    )  # fmt: skip
