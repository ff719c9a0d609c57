"""The command `rsspade show`."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from rsspade.cli import Command
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.errors import ConfigError, InputError, explain
from rsspade.jobs import disk_errors
from rsspade.targets import refuse_target

__all__ = ["COMMAND"]

_MOST_TILES = 40  # beyond, neither matplotlib nor a person can read the picture


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument("tiles", metavar="TILE", nargs="+", help="names of tiles, as in tiles.csv")
    parser.add_argument(
        "--out", metavar="P.png", type=Path, help="the picture (default: TILE.png, or tiles.png for several)"
    )


def _run(options: argparse.Namespace) -> int:
    out: Path = options.out or Path(f"{options.tiles[0]}.png" if len(options.tiles) == 1 else "tiles.png")
    dataset = DatasetFolder.open(options.dataset)
    rows = _find_tiles(dataset, options.tiles)
    refuse_target(out, suffix=".png")
    from rsspade.report.figures import figure_to_png, tile_figure  # matplotlib loads where it draws

    content = figure_to_png(tile_figure(dataset, rows))
    with disk_errors(out):
        write_bytes_atomically(out, content)
    print(f"Wrote {out}")
    return 0


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
    summary="Draw tiles: true and false colour, radar, land cover, relief.",
    example="rsspade show demo-data w0000_r00_c00 w0000_r00_c01 --out two.png",
    configure=_configure,
    run=_run,
)
