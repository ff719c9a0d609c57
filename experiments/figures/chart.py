"""The chart of the contrasts: how far each image is from the real one, measure by measure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.cells.pictures import write_figure
from experiments.figures.contrast import KINDS
from experiments.figures.measures import MEASURES
from rsspade.report.panels import FAINT, INK

__all__ = ["draw_changes"]

COLOURS = {"synthetic": "#c1440e", "class_mean": "#8a8a8a", "oracle": "#2b6c8f"}


def draw_changes(path: Path, summary: Mapping[str, Any]) -> None:
    """A line per measure, a point per image: its change against the real image, with the 95 % interval over scenes."""
    names = [name for name in MEASURES if name in summary]
    figure = Figure(figsize=(9, 1.3 + 0.5 * len(names)), layout="constrained", dpi=120, facecolor="white")
    axes = figure.subplots()
    for n, (kind, colour) in enumerate(COLOURS.items()):
        for line, name in enumerate(names):
            own = summary[name].get(kind)
            if own is None:
                continue
            place, value = line + 0.2 * (n - 1), 100 * own["change"]
            if own["low"] is not None:
                axes.plot([100 * own["low"], 100 * own["high"]], [place, place], color=colour, linewidth=2, alpha=0.5)
            axes.plot(value, place, "o", color=colour, markersize=6, label=KINDS[kind] if line == 0 else None)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(names)), [MEASURES[name] for name in names], fontsize=9, color=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("against the real image (%), 95 % interval over scenes", fontsize=9, color=FAINT)
    axes.tick_params(axis="x", labelsize=8, labelcolor=FAINT)
    axes.grid(axis="x", alpha=0.25)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    write_figure(path, figure)
