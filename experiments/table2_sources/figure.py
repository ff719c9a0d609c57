"""The figure: the same test tiles from every subset of the sources, by models of their own and by the one for all."""

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

TILES = 2
SIDE = 1.6
"""Of a panel, in inches."""


def draw_tiles(path: Path, workshop: Workshop, preset: Preset) -> bool:
    """Three lines per tile: sources and truth, models of their own, the one model; False where weights are not here."""
    cells = {" + ".join(subset): alone(preset, subset) for subset in SUBSETS} | {"one for all": one_for_all(preset)}
    models = load_models(workshop, {name: cell.with_(seed=preset.seeds[0]) for name, cell in cells.items()}, path.name)
    if models is None:
        return False
    dataset = DatasetFolder.open(workshop.dataset(preset.world))
    means, bands, lines = class_means(dataset), dataset.optical_bands, list[Line]()
    rows = telling_tiles(dataset, "test", TILES)
    for row in rows:
        truth = dataset.read("s2", row.tile)
        mean = image_panel("Class mean", class_mean_image(means, dataset, row), bands, truth=truth)
        lines.append(tile_line(row, [*source_panels(dataset, row), image_panel("Real", truth, bands), mean]))
        for title, one in (("Models of their own", None), ("One model for all", models["one for all"])):
            panels = []
            for subset in SUBSETS:
                model = one or models[" + ".join(subset)]
                image = answer_tile(model, dataset, row, sources=subset).image
                panels.append(image_panel(" + ".join(subset), image, bands, truth=truth))
            lines.append(Line(panels=panels, heading=title, with_titles=one is None))
    write_figure(path, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, rows)))
    return True
