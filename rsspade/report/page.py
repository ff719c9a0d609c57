"""The page: everything that was found, as one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rsspade import __version__
from rsspade.report import colours
from rsspade.report.charts import Chart, history_chart
from rsspade.report.facts import FactLine, fact_lines, option_lines, summary_of
from rsspade.report.group import BAR_RAMP, Group
from rsspade.report.pictures import as_data_url
from rsspade.report.runs import Run
from rsspade.report.segmentation import MapGroup

__all__ = ["Note", "Page", "ReportedRun", "render"]

_SCORES = {
    "miou": "mIoU",
    "accuracy": "Accuracy",
    "kappa": "Kappa",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "sam_deg": "Spectral angle (°)",
    "mae": "MAE",
    "rmse": "RMSE",
}


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader must know before the numbers."""

    title: str
    text: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedRun:
    """A run as the page shows it; `folder` is the dataset on which it was scored."""

    run: Run
    name: str
    series: str
    parameters: int | None = None
    folder: str = "–"

    @property
    def summary(self) -> str:
        """One line about it."""
        return summary_of(self.run, self.parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The colours of a map and their ends."""

    title: str
    url: str
    low: str
    high: str


@dataclass(kw_only=True, slots=True)
class Page:
    """What the template draws."""

    title: str
    runs: list[ReportedRun]
    groups: list[Group] = field(default_factory=list)
    maps: list[MapGroup] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def sections(self) -> list[tuple[str, str]]:
        """The links at the top."""
        links = [link for group in self.groups for link in group.links(alone=len(self.groups) == 1)]
        links += [(group.id, "Maps") for group in self.maps]
        return [
            *links,
            *([("training", "Training")] if self.curves else []),
            ("facts", "What was trained"),
            ("reading", "How to read this"),
        ]

    @property
    def stretch(self) -> dict[str, str]:
        """Fixed stretches, for the text."""
        return {"true": f"{colours.TRUE_COLOUR_MAX:g}"}

    @property
    def bars(self) -> list[Bar]:
        """The colour scales of the maps."""
        return [
            Bar(title="Absolute error, mean over bands (reflectance)", url=as_data_url(colours.error_colours(BAR_RAMP * colours.ERROR_MAX)),
                low="0", high=f"{colours.ERROR_MAX:g} and more"),
            Bar(title="Spectral angle", url=as_data_url(colours.angle_colours(BAR_RAMP * colours.ANGLE_MAX_DEG)),
                low="0°", high=f"{colours.ANGLE_MAX_DEG:g}° and more"),
        ]  # fmt: skip

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Run -> series."""
        return [(run.name, run.series) for run in self.runs]

    @property
    def curves(self) -> list[tuple[str, str, list[Chart]]]:
        """Losses and validation scores over the steps."""
        best = {r.name: r.run.history.best_step for r in self.runs}
        parts = [
            ("Validation", "On the validation split, which chose the best step (dot).", "scores", _SCORES, best),
            ("Losses", "Means since the line before, each without its weight.", "losses", {}, {}),
        ]
        out = []
        for title, intro, kind, names, dots in parts:
            charts = _charts(self.runs, kind, names, dots)
            if charts:
                out.append((title, intro, charts))
        return out

    @property
    def facts(self) -> list[FactLine]:
        """What was trained on what."""
        return fact_lines([r.run for r in self.runs], [r.parameters for r in self.runs], [r.folder for r in self.runs])

    @property
    def options(self) -> list[FactLine]:
        """Everything in `config.yaml`."""
        return option_lines([r.run for r in self.runs])


def render(page: Page) -> bytes:
    """The page as UTF-8."""
    assets = files("rsspade.report") / "assets"
    style, script = ((assets / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    environment = Environment(
        loader=PackageLoader("rsspade.report", "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    text = environment.get_template("page.html.j2").render(
        page=page, version=__version__, style=Markup(style), script=Markup(script), style_hash=_source_hash(style),
        script_hash=_source_hash(script),
    )  # fmt: skip
    return text.encode()


def _source_hash(text: str) -> str:
    """As a content security policy names an inline script: nothing else in the page can run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _charts(runs: Sequence[ReportedRun], kind: str, names: dict[str, str], best: dict[str, int | None]) -> list[Chart]:
    found = {r.name: (r.series, r.run.history.losses if kind == "losses" else r.run.history.scores) for r in runs}
    wanted = names or dict.fromkeys(name for _, curves in found.values() for name in curves)
    charts, last = [], max(r.run.history.last_step for r in runs)
    for name in wanted:
        curves = {run: (series, own[name]) for run, (series, own) in found.items() if own.get(name)}
        if curves:
            charts.append(history_chart(names.get(name) or name.replace("_", " "), curves, best=best, last_step=last))
    return charts
