"""The figure: the same test tiles from every subset of the sources, by the one model for all and by models of their own."""

from pathlib import Path

from experiments.cells.pictures import (
    class_mean_image,
    image_panel,
    load_models,
    source_panels,
    telling_tiles,
    write_figure,
)
from experiments.cells.runner import Workshop
from experiments.table2_sources.plan import SUBSETS, Preset, alone, one_for_all
from rsspade.baselines import class_means
from rsspade.data.manifest import DatasetFolder
from rsspade.report.answers import answer_tile
from rsspade.report.figures import landcover_legend, tile_line
from rsspade.report.panels import Line, panel_figure

__all__ = ["draw_tiles"]

ONE = "one for all"
TILES = 2
SIDE = 1.6
"""Of a panel, in inches."""


def draw_tiles(path: Path, workshop: Workshop, preset: Preset) -> bool:
    """Lines per tile: sources and truth, the one model, and models of their own where their weights are here too.

    False where those of the one model are not here.
    """
    seed = preset.seeds[0]
    found = load_models(workshop, {ONE: one_for_all(preset).with_(seed=seed)}, path.name)
    if found is None:
        return False
    cells = {" + ".join(subset): alone(preset, subset).with_(seed=seed) for subset in SUBSETS}
    own = load_models(workshop, cells, f"{path.name}, models of their own")
    rows_of_models = [("Models of their own", own), ("One model for all", dict.fromkeys(cells, found[ONE]))]
    dataset = DatasetFolder.open(workshop.dataset(preset.world))
    means, bands, lines = class_means(dataset), dataset.optical_bands, list[Line]()
    rows = telling_tiles(dataset, "test", TILES)
    for row in rows:
        truth = dataset.read("s2", row.tile)
        mean = image_panel("Class mean", class_mean_image(means, dataset, row), bands, truth=truth)
        lines.append(tile_line(row, [*source_panels(dataset, row), image_panel("Real", truth, bands), mean]))
        drawn = [(title, models) for title, models in rows_of_models if models is not None]
        for title, models in drawn:
            panels = []
            for subset in SUBSETS:
                name = " + ".join(subset)
                image = answer_tile(models[name], dataset, row, sources=subset).image
                panels.append(image_panel(name, image, bands, truth=truth))
            lines.append(Line(panels=panels, heading=title, with_titles=title == drawn[0][0]))
    write_figure(path, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, rows)))
    return True
