"""The paper's Figs 8 and 9: validation mIoU on the way, and maps beside the truth."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.cells.cell import Record
from experiments.cells.pictures import image_panel, telling_tiles, write_figure
from experiments.cells.runner import Workshop
from experiments.table3_augmentation.plan import REAL, REGIMES, Preset, arms
from experiments.table3_augmentation.report import Found
from rsspade.data.manifest import DatasetFolder
from rsspade.report import colours
from rsspade.report.figures import tile_line
from rsspade.report.panels import Line, Panel, panel_figure

__all__ = ["draw_curves", "draw_maps"]

COLOURS = {"True": "#444444", "Mix": "#c1440e"}
TILES = 4
SIDE = 1.8
"""Of a panel, in inches."""


def draw_curves(path: Path, preset: Preset, found: Found) -> None:
    """Mean over the seeds that both have, and the spread as a band; below at equal epochs: True of half the steps."""
    figure = Figure(figsize=(10, 5.6), layout="constrained", dpi=100)
    axes = figure.subplots(2, len(REGIMES), sharey="col")
    for column, (regime, title) in enumerate(REGIMES.items()):
        for row, (name, unit) in enumerate((("steps", "step"), ("epochs", "epoch"))):
            own, real = axes[row, column], REAL[regime]
            pair = {
                "True": found.get(real if name == "steps" else f"{real} half", {}),
                "Mix": found.get(f"mix {regime}", {}),
            }
            seeds = set.intersection(*(set(records) for records in pair.values()))
            for label, records in pair.items():
                _draw_curve(own, label, {seed: records[seed] for seed in sorted(seeds)}, unit)
            own.set_xlabel(f"{unit} (equal {name})")
            own.grid(alpha=0.3)
            if row == 0:
                own.set_title(fill(title.format(few=f"{preset.few:.0%}"), 36), fontsize=9)
            if column == 0:
                own.set_ylabel("validation mIoU")
    if axes[0, 0].lines:
        axes[0, 0].legend(frameon=False)
    write_figure(path, figure)


def _draw_curve(axes: Any, label: str, records: Mapping[int, Record], unit: str) -> None:  # noqa: ANN401
    if not records:
        return
    curves = [record.curve for record in records.values()]
    x = [point[unit] for point in curves[0]]
    heights = np.array([[point["miou"] for point in curve] for curve in curves])
    mean, deviation = heights.mean(axis=0), heights.std(axis=0, ddof=1 if len(curves) > 1 else 0)
    axes.plot(
        x,
        mean,
        color=COLOURS[label],
        label=f"{label}, {len(curves)} seed{'s' * (len(curves) > 1)}",
        marker=".",
        markersize=4,
    )
    axes.fill_between(x, mean - deviation, mean + deviation, color=COLOURS[label], alpha=0.2, linewidth=0)


def draw_maps(path: Path, workshop: Workshop, preset: Preset) -> bool:
    """Real test tiles with the maps of the first seed's networks; False where their weights are not here."""
    cells = arms(preset, preset.seeds[0], "core")
    columns = {
        "True, all labels": "true all", "Mix, all labels": "mix all", "True, few": "true few",
        "Mix, few, sources of all": "mix sources",
    }  # fmt: skip
    weights = {title: workshop.weights(cells[name]) for title, name in columns.items()}
    if not all(folder.is_dir() for folder in weights.values()):
        print(f"{path.name}: not drawn, the networks were trained elsewhere")
        return False
    dataset = DatasetFolder.open(workshop.dataset(preset.world))
    rows, lines = telling_tiles(dataset, "test", TILES), list[Line]()
    for row in rows:
        image = dataset.read("s2", row.tile)
        maps = {"labels": dataset.read("lulc", row.tile)[0]}
        maps |= {title: _map(folder, image) for title, folder in weights.items()}
        panels = [image_panel("real image", image, dataset.optical_bands)]
        panels += [
            Panel(title=title, picture=colours.landcover_colours(found, dataset.scheme))
            for title, found in maps.items()
        ]
        lines.append(tile_line(row, panels, with_titles=not lines))
    legend = {c.name.replace("_", " "): c.colour for c in dataset.scheme.classes}  # a network may find any of them
    write_figure(path, panel_figure(lines, side=SIDE, legend=legend))
    return True


def _map(weights: Path, image: np.ndarray) -> np.ndarray:
    import torch

    from segmentation.models import Segmenter

    model = Segmenter.from_pretrained(weights)
    found: np.ndarray = model.classify({"s2": torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]})[
        0
    ].numpy()
    return found
