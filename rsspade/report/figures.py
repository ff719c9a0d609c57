"""A picture of tiles: one row per tile, one panel per way to look at it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.report import colours
from rsspade.sources import CLOUD, UNLABELLED

__all__ = ["Panel", "figure_to_png", "tile_figure", "tile_panels"]

# Inches.
_PANEL, _GAP, _MARGIN = 2.6, 0.12, 0.15
_HEADING, _TITLE, _FOOT = 0.34, 0.36, 0.62
_DPI = 120
_INK, _FAINT = "#222222", "#777777"


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel: a picture, or the reason why there is none.

    Attributes:
        title: What it shows.
        detail: Its stretch or range, in small print.
        picture: (H, W, 3) in 0..1; None where there is nothing to draw.
        absent: What to say instead.
        legend: Label -> colour, drawn beneath.
    """

    title: str
    detail: str = ""
    picture: np.ndarray | None = None
    absent: str = "not in this tile"
    legend: dict[str, str | tuple[float, float, float]] = field(default_factory=dict)


def tile_panels(dataset: DatasetFolder, row: TileRow, *, with_cloudy: bool) -> list[Panel]:
    """The panels of a tile, from left to right."""
    panels = [
        *_optical_panels(dataset, row),
        _radar_panel(dataset, row),
        _landcover_panel(dataset, row),
        _relief_panel(dataset, row),
    ]
    if with_cloudy:
        panels.insert(2, _cloudy_panel(dataset, row))
    return panels


def tile_figure(dataset: DatasetFolder, rows: Sequence[TileRow], more: Sequence[Sequence[Panel]] = ()) -> Figure:
    """Draw tiles below one another; `more` panels of each tile stand on a line beneath its own."""
    with_cloudy = any(dataset.has("s2_cloudy", row.tile) for row in rows)
    columns = 6 if with_cloudy else 5
    line_height = _TITLE + _PANEL
    row_height = _HEADING + line_height + _FOOT + (line_height + _FOOT / 2 if more else 0)
    width = 2 * _MARGIN + columns * _PANEL + (columns - 1) * _GAP
    height = 2 * _MARGIN + len(rows) * row_height
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    for i, row in enumerate(rows):
        top = height - _MARGIN - i * row_height
        _write_heading(figure, row, _MARGIN / width, (top - 0.05) / height)
        lines = [tile_panels(dataset, row, with_cloudy=with_cloudy), *([more[i]] if more else [])]
        for k, panels in enumerate(lines):
            bottom = top - _HEADING - line_height - k * (line_height + _FOOT)
            for j, panel in enumerate(panels):
                left = _MARGIN + j * (_PANEL + _GAP)
                axes = figure.add_axes((left / width, bottom / height, _PANEL / width, _PANEL / height))
                _draw(axes, panel)
    return figure


def figure_to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG, without the date that matplotlib would write into it."""
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content, metadata={"Software": "rsspade"})  # type: ignore[no-untyped-call]
    return content.getvalue()


def _write_heading(figure: Figure, row: TileRow, x: float, y: float) -> None:
    facts = [f"scene {row.scene}", row.split]
    facts += [f"{name} {date}" for name, date in (("S2", row.s2_date), ("S1", row.s1_date)) if date]
    if row.synthetic:
        facts.append(f"synthetic, made from {row.parent or 'an unknown tile'}")
    name = figure.text(x, y, row.tile, fontsize=12, fontweight="bold", color=_INK, va="top")
    # The facts follow the name on its line; its width is known once it is laid out.
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib types it not yet
    end = name.get_window_extent(renderer).x1 / figure.bbox.width
    figure.text(end + 0.012, y, "  ·  ".join(facts), fontsize=10.5, color=_FAINT, va="top")


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
        spine.set_linewidth(0.6)
    axes.text(0, 1.075, panel.title, transform=axes.transAxes, fontsize=10, color=_INK, va="bottom")
    axes.text(0, 1.015, panel.detail, transform=axes.transAxes, fontsize=7.5, color=_FAINT, va="bottom")
    if panel.picture is None:
        axes.set_facecolor("#fafafa")
        axes.text(0.5, 0.5, panel.absent, transform=axes.transAxes, ha="center", va="center", fontsize=10, color=_FAINT)
        return
    axes.imshow(panel.picture, interpolation="nearest")
    if panel.legend:
        handles = [Patch(facecolor=c, edgecolor="#999999", linewidth=0.4, label=n) for n, c in panel.legend.items()]
        axes.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(-0.01, -0.01), ncols=3 if len(handles) > 6 else 2, fontsize=6.8,
            frameon=False, borderaxespad=0.2, handlelength=1.0, handleheight=0.9, columnspacing=0.8, labelspacing=0.25,
            handletextpad=0.4,
        )  # fmt: skip


def _optical_panels(dataset: DatasetFolder, row: TileRow) -> list[Panel]:
    names = dataset.optical_bands
    true = Panel(title="True colour", detail=_true_colour_detail())
    false = Panel(
        title="False colour",
        detail="nir 0…{nir:g}, red 0…{red:g}, green 0…{green:g}".format_map(colours.FALSE_COLOUR_MAX),
    )
    if not dataset.has("s2", row.tile):
        return [true, false]
    image = dataset.read("s2", row.tile)
    holes = "; grey: no data" if not np.isfinite(image).all() else ""
    return [
        _with_picture(true, colours.true_colour(image, names), "needs red, green, blue", holes),
        _with_picture(false, colours.false_colour(image, names), "needs nir, red, green", holes),
    ]


def _cloudy_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    panel = Panel(title="Clouded", detail="as true colour")
    if not dataset.has("s2_cloudy", row.tile):
        return panel
    image = dataset.read("s2_cloudy", row.tile)
    told = ""
    if dataset.has("cloud", row.tile):
        mask = dataset.read("cloud", row.tile)[0]
        known = mask != CLOUD.nodata
        told = f"; {np.mean(mask[known] > 0):.0%} cloud or shadow" if known.any() else ""
    return _with_picture(panel, colours.true_colour(image, dataset.optical_bands), "needs red, green, blue", told)


def _radar_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    panel = Panel(
        title="Radar",
        detail=", ".join(f"{n.upper()} {low:g}…{high:g}" for n, (low, high) in colours.RADAR_RANGES_DB.items()).replace(
            "-", "−"
        )
        + " dB",
    )
    if not dataset.has("s1", row.tile):
        return panel
    image = dataset.read("s1", row.tile)
    holes = "; grey: no data" if not np.isfinite(image).all() else ""
    return _with_picture(panel, colours.radar_colours(image), "", holes)


def _landcover_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    scheme = dataset.scheme
    if not dataset.has("lulc", row.tile):
        return Panel(title="Land cover", detail=scheme.title)
    classes = dataset.read("lulc", row.tile)[0]
    counts = np.bincount(classes.ravel(), minlength=256)
    present = sorted((c for c in scheme.classes if counts[c.id]), key=lambda c: -counts[c.id])
    legend: dict[str, str | tuple[float, float, float]] = {
        f"{c.name.replace('_', ' ')} {_share(counts[c.id] / classes.size)}": c.colour for c in present
    }
    others = int(classes.size - counts[list(scheme.ids)].sum())
    if others:
        title = "unlabelled" if counts[UNLABELLED] == others else "unlabelled, unknown ids"
        legend[f"{title} {_share(others / classes.size)}"] = colours.NO_DATA
    return Panel(
        title="Land cover", detail=scheme.title, picture=colours.landcover_colours(classes, scheme), legend=legend
    )


def _relief_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    if not dataset.has("dem", row.tile):
        return Panel(title="Relief", detail="")
    terrain = dataset.read("dem", row.tile)
    heights = terrain[0][np.isfinite(terrain[0])]
    detail = f"elevation {heights.min():.0f}…{heights.max():.0f} m, lit from north-west" if heights.size else ""
    return Panel(title="Relief", detail=detail, picture=colours.relief_colours(terrain))


def _with_picture(panel: Panel, picture: np.ndarray | None, absent: str, more: str) -> Panel:
    detail = panel.detail + more if picture is not None else ""
    return Panel(title=panel.title, detail=detail, picture=picture, absent=absent or panel.absent, legend=panel.legend)


def _true_colour_detail() -> str:
    return f"reflectance 0…{colours.TRUE_COLOUR_MAX:g}, gamma {colours.GAMMA:g}"


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"
