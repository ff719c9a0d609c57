"""The command `rsspade show`."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsspade.cli import Command
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.errors import ConfigError, InputError, explain
from rsspade.jobs import disk_errors
from rsspade.targets import refuse_target

if TYPE_CHECKING:
    from rsspade.report.figures import Panel

__all__ = ["COMMAND"]

_MOST_TILES = 40  # beyond, neither matplotlib nor a person can read the picture


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument("tiles", metavar="TILE", nargs="+", help="names of tiles, as in tiles.csv")
    parser.add_argument("--run", type=Path, metavar="RUN", help="draw what its generator makes of them, and its errors")
    parser.add_argument(
        "--out", metavar="P.png", type=Path, help="the picture (default: TILE.png, or tiles.png for several)"
    )


def _run(options: argparse.Namespace) -> int:
    out: Path = options.out or Path(f"{options.tiles[0]}.png" if len(options.tiles) == 1 else "tiles.png")
    dataset = DatasetFolder.open(options.dataset)
    rows = _find_tiles(dataset, options.tiles)
    refuse_target(out, suffix=".png")
    from rsspade.report.figures import figure_to_png, tile_figure  # matplotlib loads where it draws

    more = [] if options.run is None else _run_panels(dataset, rows, options.run)
    content = figure_to_png(tile_figure(dataset, rows, more))
    with disk_errors(out):
        write_bytes_atomically(out, content)
    print(f"Wrote {out}")
    return 0


def _run_panels(dataset: DatasetFolder, rows: Sequence[TileRow], run: Path) -> list[list["Panel"]]:
    from rsspade.evaluation import find_generator  # torch loads where a generator is asked for
    from rsspade.models import RSSpade
    from rsspade.report.answers import answer_tile
    from rsspade.report.run_panels import answer_panels

    model = RSSpade.from_pretrained(find_generator(run))
    return [answer_panels(answer_tile(model, dataset, row)) for row in rows]


def _find_tiles(dataset: DatasetFolder, names: Sequence[str]) -> list[TileRow]:
    if len(names) > _MOST_TILES:
        raise ConfigError(
            explain(
                "TILE",
                expected=f"at most {_MOST_TILES} tiles",
                found=str(len(names)),
                fix="Draw them in several pictures.",
            )
        )
    rows = {row.tile: row for row in dataset.rows}
    for name in names:
        if name not in rows:
            near = difflib.get_close_matches(name, rows, n=3, cutoff=0.5)
            known = ", ".join(near or list(rows)[:3]) or "none"
            raise InputError(
                explain(
                    dataset.path / "tiles.csv",
                    expected=f"a tile of this dataset ({'nearest' if near else 'such as'}: {known})",
                    found=repr(name),
                    fix="Correct the name; tiles.csv lists them all.",
                )
            )
    return [rows[name] for name in names]


COMMAND = Command(
    summary="Draw tiles: true and false colour, radar, land cover, relief; with --run what a generator makes of them.",
    example="rsspade show demo-data w0000_r00_c00 w0000_r00_c01 --out two.png",
    configure=_configure,
    run=_run,
)
