"""The figure: the same test tiles as the sources, the truth, the class means and each generator show them."""

from collections.abc import Mapping
from pathlib import Path

from experiments.cells.cell import Cell
from experiments.cells.pictures import (
    class_mean_image,
    image_panel,
    load_models,
    source_panels,
    telling_tiles,
    write_figure,
)
from experiments.cells.runner import Workshop
from rsspade.baselines import class_means
from rsspade.data.manifest import DatasetFolder
from rsspade.report.answers import answer_tile
from rsspade.report.figures import landcover_legend, tile_line
from rsspade.report.panels import Line, panel_figure

__all__ = ["draw_tiles"]

TILES = 3
SIDE = 1.6
"""Of a panel, in inches."""


def draw_tiles(path: Path, workshop: Workshop, cells: Mapping[str, Cell]) -> bool:
    """One tile per line, one answer per column; False where weights are not here."""
    models = load_models(workshop, cells, path.name)
    if models is None:
        return False
    (world,) = {cell.world for cell in cells.values()}
    dataset = DatasetFolder.open(workshop.dataset(world))
    means, bands, lines = class_means(dataset), dataset.optical_bands, list[Line]()
    rows = telling_tiles(dataset, "test", TILES)
    for row in rows:
        truth = dataset.read("s2", row.tile)
        panels = [*source_panels(dataset, row), image_panel("Real", truth, bands)]
        panels.append(image_panel("Class mean", class_mean_image(means, dataset, row), bands, truth=truth))
        for name, model in models.items():
            panels.append(image_panel(name, answer_tile(model, dataset, row).image, bands, truth=truth))
        lines.append(tile_line(row, panels, with_titles=not lines))
    write_figure(path, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, rows)))
    return True
