"""Figures of the tables: the same tiles as the sources show them, as they are, and as each answer paints them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from experiments.cells.cell import Cell
from experiments.cells.runner import Workshop
from rsspade.baselines import ClassMeans
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.metrics import DISPLAY, psnr
from rsspade.models import RSSpade
from rsspade.models.edges import set_edges
from rsspade.report import colours
from rsspade.report.figures import figure_to_png, tile_panels
from rsspade.report.panels import Panel

__all__ = ["class_mean_image", "image_panel", "load_models", "source_panels", "telling_tiles", "write_figure"]

MOST_BYTES = 600_000
"""Of a figure that a repository holds; a larger one gets fewer shades."""


def write_figure(path: Path, figure: Figure) -> None:
    """Keep a figure."""
    write_bytes_atomically(path, figure_to_png(figure, most_bytes=MOST_BYTES))
    print(f"Wrote {path}")


def telling_tiles(dataset: DatasetFolder, split: str, count: int) -> list[TileRow]:
    """The tiles with the most classes, of one scene as late as possible a second one."""
    by_scene: dict[str, list[tuple[int, str, TileRow]]] = {}
    for row in dataset.in_split(split):
        if dataset.has("lulc", row.tile) and dataset.has("s2", row.tile):
            classes = len(np.unique(dataset.read("lulc", row.tile)))
            by_scene.setdefault(row.scene, []).append((-classes, row.tile, row))
    ranked = [(turn, *entry) for own in by_scene.values() for turn, entry in enumerate(sorted(own))]
    return [row for *_, row in sorted(ranked)[:count]]


def load_models(workshop: Workshop, cells: Mapping[str, Cell], figure: str) -> dict[str, RSSpade] | None:
    """The trained generators, with edges repeated; None, and a word about it, where the weights of one are not here."""
    away = [name for name, cell in cells.items() if not workshop.weights(cell).is_dir()]
    if away:
        print(f"{figure}: not drawn, the weights of {', '.join(away)} are not in {workshop.out}")
        return None
    models = {name: RSSpade.from_pretrained(workshop.weights(cell)) for name, cell in cells.items()}
    for model in models.values():
        set_edges(model.network, "repeat")
    return models


def class_mean_image(means: ClassMeans, dataset: DatasetFolder, row: TileRow) -> np.ndarray:
    """The class-mean image of a tile, (C, H, W)."""
    return means.image(torch.from_numpy(dataset.read("lulc", row.tile))[None])[0].numpy()


def image_panel(
    title: str, image: np.ndarray, bands: Sequence[str], *, truth: np.ndarray | None = None, false: bool = False
) -> Panel:
    """An image in true (or false) colour; with the truth, its PSNR beneath the title."""
    draw = colours.false_colour if false else colours.true_colour
    detail = "" if truth is None else f"{tile_psnr(image, truth):.1f} dB"
    return Panel(title=title, detail=detail, picture=draw(image, bands), absent="needs other bands")


def tile_psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """In the space of the scores."""
    valid = torch.from_numpy(np.isfinite(truth).all(axis=0))[None]
    made, goal = (DISPLAY.apply(torch.from_numpy(np.nan_to_num(each))[None]) for each in (image, truth))
    return float(psnr(made, goal, valid).item())


def source_panels(dataset: DatasetFolder, row: TileRow) -> list[Panel]:
    """Radar, land cover and relief, without small print."""
    panels = {panel.title: panel for panel in tile_panels(dataset, row, with_cloudy=False)}
    return [
        Panel(title=name, picture=panels[name].picture, absent=panels[name].absent)
        for name in ("Radar", "Land cover", "Relief")
    ]
