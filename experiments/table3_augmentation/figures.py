"""The paper's Figs 8 and 9: validation mIoU on the way, and maps beside the truth."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.cells.cell import Record
from experiments.cells.runner import Workshop
from experiments.table3_augmentation.plan import REGIMES, Preset, arms
from experiments.table3_augmentation.report import Found
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder
from rsspade.report.colours import landcover_colours, true_colour
from rsspade.report.figures import figure_to_png

__all__ = ["draw_curves", "draw_maps"]

COLOURS = {"True": "#444444", "Mix": "#c1440e"}
TILES = 4


def draw_curves(path: Path, preset: Preset, found: Found) -> None:
    """Mean over seeds, and the spread as a band: at equal steps above, at equal epochs below."""
    figure = Figure(figsize=(10, 5.6), layout="constrained", dpi=100)
    axes = figure.subplots(2, len(REGIMES), sharey="col")
    for column, (regime, title) in enumerate(REGIMES.items()):
        for row, (name, unit) in enumerate((("steps", "step"), ("epochs", "epoch"))):
            own, real = axes[row, column], "true all" if regime == "all" else "true few"
            for label, arm in (("True", real), ("Mix", f"mix {regime} {name}")):
                _draw_curve(own, label, found.get(arm, {}), unit)
            own.set_xlabel(f"{unit} (equal {name})")
            own.grid(alpha=0.3)
            if row == 0:
                own.set_title(fill(title.format(few=f"{preset.few:.0%}"), 36), fontsize=9)
            if column == 0:
                own.set_ylabel("validation mIoU")
    if axes[0, 0].lines:
        axes[0, 0].legend(frameon=False)
    write_bytes_atomically(path, figure_to_png(figure))
    print(f"Wrote {path}")


def _draw_curve(axes: Any, label: str, records: Mapping[int, Record], unit: str) -> None:  # noqa: ANN401
    if not records:
        return
    curves = [record.curve for record in records.values()]
    x = [point[unit] for point in curves[0]]
    heights = np.array([[point["miou"] for point in curve] for curve in curves])
    mean, deviation = heights.mean(axis=0), heights.std(axis=0, ddof=1 if len(curves) > 1 else 0)
    axes.plot(x, mean, color=COLOURS[label], label=f"{label}, {len(curves)} seeds", marker=".", markersize=4)
    axes.fill_between(x, mean - deviation, mean + deviation, color=COLOURS[label], alpha=0.2, linewidth=0)


def draw_maps(path: Path, workshop: Workshop, preset: Preset) -> bool:
    """Real test tiles with the maps of the first seed's networks; False where their weights are not here."""
    cells = arms(preset, preset.seeds[0], "core")
    columns = {
        "True, all labels": "true all", "Mix, all labels": "mix all steps", "True, few": "true few",
        "Mix, few, sources of all": "mix sources steps",
    }  # fmt: skip
    weights = {title: workshop.weights(cells[name]) for title, name in columns.items()}
    if not all(folder.is_dir() for folder in weights.values()):
        print(f"{path.name}: not drawn, the networks were trained elsewhere")
        return False
    dataset = DatasetFolder.open(workshop.dataset(preset.world))
    chosen = _richest(dataset)
    figure = Figure(figsize=(2 * (2 + len(columns)), 2.1 * len(chosen)), layout="constrained", dpi=90)
    axes = figure.subplots(len(chosen), 2 + len(columns), squeeze=False)
    for row, tile in enumerate(chosen):
        image = dataset.read("s2", tile)
        pictures = {"real image": true_colour(image, dataset.optical_bands), "labels": dataset.read("lulc", tile)[0]}
        pictures |= {title: _map(folder, image) for title, folder in weights.items()}
        for own, (title, picture) in zip(axes[row], pictures.items(), strict=True):
            assert picture is not None
            own.imshow(
                picture if picture.ndim == 3 else landcover_colours(picture, dataset.scheme), interpolation="nearest"
            )
            own.set_axis_off()
            if row == 0:
                own.set_title(title, fontsize=8)
    colours = dataset.scheme.colormap()
    names = [
        Patch(color=[part / 255 for part in colours[c.id][:3]], label=c.name.replace("_", " "))
        for c in dataset.scheme.classes
    ]
    figure.legend(handles=names, loc="outside lower center", ncols=len(names), fontsize=7, frameon=False)
    write_bytes_atomically(path, figure_to_png(figure))
    print(f"Wrote {path}")
    return True


def _richest(dataset: DatasetFolder) -> list[str]:
    """The test tiles with the most classes."""
    counts = {row.tile: len(np.unique(dataset.read("lulc", row.tile))) for row in dataset.in_split("test")}
    return sorted(counts, key=lambda tile: (-counts[tile], tile))[:TILES]


def _map(weights: Path, image: np.ndarray) -> np.ndarray:
    import torch

    from segmentation.models import Segmenter

    model = Segmenter.from_pretrained(weights)
    found: np.ndarray = model.classify({"s2": torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]})[
        0
    ].numpy()
    return found
