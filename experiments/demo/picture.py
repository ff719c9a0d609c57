"""The picture of the front page: what the sources show, what a generator makes of it, what was there.

    python -m experiments.demo.picture --run RUN --data DATASET --out assets/first.png

The tiles are test tiles of different scenes, those with the most land-cover classes.
"""

import argparse
from pathlib import Path

from experiments.cells.pictures import image_panel, source_panels, telling_tiles, write_figure
from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade
from rsspade.report.answers import answer_tile
from rsspade.report.figures import landcover_legend
from rsspade.report.panels import Line, panel_figure

SIDE = 1.9
"""Of a panel, in inches."""


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo.picture", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or a generator folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="what it was trained on")
    parser.add_argument("--tiles", type=int, default=2, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="P.png", help="the picture")
    options = parser.parse_args()
    dataset, model = DatasetFolder.open(options.data), RSSpade.from_pretrained(find_generator(options.run))
    rows = telling_tiles(dataset, "test", options.tiles)
    lines = []
    for row in rows:
        truth, answer = dataset.read("s2", row.tile), answer_tile(model, dataset, row)
        panels = [
            *source_panels(dataset, row),
            image_panel("→ Synthetic", answer.image, answer.bands, truth=truth),
            image_panel("Real", truth, answer.bands),
        ]
        lines.append(Line(panels=panels, with_titles=row is rows[0]))
    write_figure(options.out, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, rows)))


if __name__ == "__main__":
    main()
