"""Figures made of panels: lines of pictures, each with its title, its small print and its legend or scale."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from rsspade.report.colours import Ramp

__all__ = ["FAINT", "INK", "Colour", "Line", "Panel", "figure_to_png", "panel_figure"]

# Inches.
_PANEL, _GAP, _MARGIN = 2.6, 0.12, 0.15
_HEADING, _TITLE, _DETAIL = 0.34, 0.36, 0.17
_FOOT, _LEGEND_LINE, _LEGEND = 0.12, 0.135, 0.26
_RAMP_FOOT, _RAMP = 0.42, 0.11
_DPI = 120
INK, FAINT = "#222222", "#777777"

Colour = str | tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel: a picture, or the reason why there is none.

    Attributes:
        title: What it shows.
        detail: Its stretch or range, in small print.
        picture: (H, W, 3) in 0..1; None where there is nothing to draw.
        absent: What to say instead.
        legend: Label -> colour, drawn beneath.
        ramp: The colours of its values, drawn beneath.
    """

    title: str
    detail: str = ""
    picture: np.ndarray | None = None
    absent: str = "not in this tile"
    legend: dict[str, Colour] = field(default_factory=dict)
    ramp: Ramp | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Panels side by side.

    Attributes:
        panels: From left to right; None leaves a place empty.
        heading: Above them, in bold.
        facts: Behind the heading, in grey.
        with_titles: Whether the panels' titles are written; beneath a line with the same ones they need not be.
    """

    panels: Sequence[Panel | None]
    heading: str = ""
    facts: str = ""
    with_titles: bool = True

    def above(self) -> float:
        """Inches from its top to the panels."""
        small = any(panel.detail for panel in self.panels if panel)
        return (_HEADING if self.heading else 0) + (_TITLE if self.with_titles else _DETAIL if small else 0)

    def beneath(self) -> float:
        """Inches from the panels to the next line."""
        foot = _FOOT
        for panel in self.panels:
            if panel and panel.legend:
                foot = max(foot, _FOOT + 0.05 + _LEGEND_LINE * -(-len(panel.legend) // _columns(panel)))
            if panel and panel.ramp:
                foot = max(foot, _RAMP_FOOT)
        return foot


def panel_figure(lines: Sequence[Line], *, side: float = _PANEL, legend: Mapping[str, Colour] | None = None) -> Figure:
    """Draw lines of panels below one another; `side` is that of a panel, in inches, `legend` stands at the foot."""
    columns = max(len(line.panels) for line in lines)
    width = 2 * _MARGIN + columns * side + (columns - 1) * _GAP
    height = 2 * _MARGIN + sum(line.above() + side + line.beneath() for line in lines) + (_LEGEND if legend else 0)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    top = height - _MARGIN
    for line in lines:
        if line.heading:
            _write_heading(figure, line, _MARGIN / width, (top - 0.05) / height)
        bottom = top - line.above() - side
        for column, panel in enumerate(line.panels):
            if panel is not None:
                left = _MARGIN + column * (side + _GAP)
                axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
                _draw(axes, panel, side, with_title=line.with_titles)
        top = bottom - line.beneath()
    if legend:
        figure.legend(
            handles=_patches(legend), loc="lower left", bbox_to_anchor=(_MARGIN / width, 0.06 / height), ncols=len(legend),
            fontsize=8.5, frameon=False, borderaxespad=0, borderpad=0, handlelength=1.0, handleheight=0.9, columnspacing=1.4,
        )  # fmt: skip
    return figure


def figure_to_png(figure: Figure, *, most_bytes: int | None = None) -> bytes:
    """The figure as the bytes of a PNG, without the date that matplotlib would write into it.

    With `most_bytes`, a larger file is written again with fewer shades, as many as fit. (A palette would be smaller still,
    but gives small areas, such as those of a legend, the colours of others.)
    """
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": "rsspade"})  # type: ignore[no-untyped-call]
    content = file.getvalue()
    if most_bytes is None or len(content) <= most_bytes:
        return content
    picture = np.asarray(Image.open(file).convert("RGB"))
    for shades in (64, 32, 16):
        fewer = np.round(np.round(picture / 255 * (shades - 1)) * (255 / (shades - 1)))
        smaller = io.BytesIO()
        Image.fromarray(fewer.astype(np.uint8)).save(smaller, "PNG", optimize=True)
        content = smaller.getvalue()
        if len(content) <= most_bytes:
            break
    return content


def _write_heading(figure: Figure, line: Line, x: float, y: float) -> None:
    name = figure.text(x, y, line.heading, fontsize=12, fontweight="bold", color=INK, va="top")
    # The facts follow the name on its line; its width is known once it is laid out.
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib types it not yet
    end = name.get_window_extent(renderer).x1 / figure.bbox.width
    figure.text(end + 0.012, y, line.facts, fontsize=10.5, color=FAINT, va="top")


def _draw(axes: Axes, panel: Panel, side: float, *, with_title: bool) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
        spine.set_linewidth(0.6)
    if with_title:
        axes.text(0, 1 + 0.195 / side, panel.title, transform=axes.transAxes, fontsize=10, color=INK, va="bottom")
    axes.text(0, 1 + 0.04 / side, panel.detail, transform=axes.transAxes, fontsize=7.5, color=FAINT, va="bottom")
    if panel.picture is None:
        axes.set_facecolor("#fafafa")
        axes.text(0.5, 0.5, panel.absent, transform=axes.transAxes, ha="center", va="center", fontsize=10, color=FAINT)
        return
    axes.imshow(panel.picture, interpolation="nearest")
    if panel.legend:
        axes.legend(
            handles=_patches(panel.legend), loc="upper left", bbox_to_anchor=(-0.01, -0.01), ncols=_columns(panel), fontsize=6.8,
            frameon=False, borderaxespad=0.2, handlelength=1.0, handleheight=0.9, columnspacing=0.8, labelspacing=0.25,
            handletextpad=0.4,
        )  # fmt: skip
    if panel.ramp:
        _draw_ramp(axes, panel.ramp, side)


def _patches(legend: Mapping[str, Colour]) -> list[Patch]:
    return [Patch(facecolor=c, edgecolor="#999999", linewidth=0.4, label=name) for name, c in legend.items()]


def _columns(panel: Panel) -> int:
    """Of its legend."""
    return 3 if len(panel.legend) > 6 else 2


def _draw_ramp(axes: Axes, ramp: Ramp, side: float) -> None:
    own = axes.inset_axes((0, -(0.06 + _RAMP) / side, 1, _RAMP / side))
    values = np.linspace(ramp.low, ramp.high, 256)
    own.imshow(ramp.colours(values[None]), aspect="auto", extent=(ramp.low, ramp.high, 0, 1))
    own.set_yticks([])
    own.set_xticks(ramp.ticks, [ramp.label(value) for value in ramp.ticks])
    own.tick_params(labelsize=7, length=2, color="#999999", labelcolor=FAINT, pad=1.5)
    for spine in own.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color("#999999")
    # Labels at the ends stay above their own panel.
    own.get_xticklabels()[0].set_horizontalalignment("left")
    own.get_xticklabels()[-1].set_horizontalalignment("right")
