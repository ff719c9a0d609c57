"""The picture of filled clouds: the sources, what a cloudy image shows, the filled one, and what was there.

    python -m experiments.scene.picture --run RUN --out assets/filled.png

The most clouded of four scenes of the built-in world, of another seed than RUN was trained on.
"""

import argparse
import tempfile
from pathlib import Path

from experiments.cells.pictures import image_panel, source_panels, write_figure
from rsspade.cli import main as rsspade
from rsspade.data.geotiff import read_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.report.figures import landcover_legend
from rsspade.report.panels import Line, panel_figure

SIDE = 1.9
"""Of a panel, in inches."""
SCENES, SCENE_SIZE = 4, 384


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m experiments.scene.picture", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or a generator folder")
    parser.add_argument("--seed", type=int, default=5, help="of the clouded world (%(default)s)")
    parser.add_argument("--tiles", type=int, default=2, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="P.png", help="the picture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = ["world", folder / "clouds", "--scenes", SCENES, "--clouds", 0.3, "--seed", options.seed]
        _run(*world, "--scene-size", SCENE_SIZE, "--tile-size", SCENE_SIZE)
        dataset = DatasetFolder.open(folder / "clouds")
        rows = sorted(dataset.rows, key=lambda row: -(row.cloud_fraction or 0))[: options.tiles]
        lines = []
        for row in rows:
            paths = {name: dataset.tile_path(name, row.tile) for name in ("s1", "lulc", "dem", "s2_cloudy", "cloud")}
            sources = [part for name in ("s1", "lulc", "dem") for part in (f"--{name}", paths[name])]
            common = ["scene", "--run", options.run, *sources, "--landcover-scheme", "dynamic_world"]
            made = folder / f"{row.tile}.tif"
            _run(*common, "--fill", paths["s2_cloudy"], "--mask", paths["cloud"], "--out", made)
            truth, bands = dataset.read("s2", row.tile), dataset.optical_bands
            panels = [
                *source_panels(dataset, row),
                image_panel("Under clouds", read_tile(paths["s2_cloudy"]), bands),
                image_panel("→ Filled", read_tile(made), bands),
                image_panel("Real", truth, bands),
            ]
            lines.append(Line(panels=panels, with_titles=row is rows[0]))
        write_figure(options.out, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, rows)))


def _run(*arguments: object) -> None:
    if rsspade([str(argument) for argument in arguments]) != 0:
        raise SystemExit("experiments.scene.picture: the command above failed")


if __name__ == "__main__":
    main()
