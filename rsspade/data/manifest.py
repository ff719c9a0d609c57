"""`dataset.json` and `tiles.csv`: what a dataset folder says of itself.

`DatasetFolder.open` is the one way in for everything that reads a dataset. Both files may come from
anybody: sizes are checked before they are read, names before they become paths.
"""

import csv
import hashlib
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rsspade.data.description import FORMAT_VERSION, DatasetInfo, describe_source, parse_info
from rsspade.data.geotiff import read_tile, write_bytes_atomically
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme, scheme_named
from rsspade.sources import Source, source_named
from rsspade.sun import sun_over

__all__ = [
    "FORMAT_VERSION", "SPLITS", "DatasetFolder", "DatasetInfo", "TileRow", "describe_source", "of_another_split", "safe_name",
    "split_sha256",
]  # fmt: skip

SPLITS = ("train", "val", "test")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_MAX_BYTES = 512 * 1024 * 1024


def safe_name(text: str) -> str:
    """A name that is safe as a file name, from any text; letters lose their accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")
    return name[:100] or "scene"


@dataclass(frozen=True, kw_only=True, slots=True)
class TileRow:
    """One line of `tiles.csv`.

    Attributes:
        valid_fraction: Share of pixels at which every source that the tile holds has data (clouds count as data).
        cloud_fraction: Share of clouded and shadowed pixels; None where unknown.
        parent: For a synthetic tile, the tile it was made from, and that tile's split.
    """

    tile: str
    scene: str
    split: str
    crs: str
    x_min: float
    y_max: float
    valid_fraction: float
    cloud_fraction: float | None = None
    s1_date: str = ""
    s2_date: str = ""
    synthetic: bool = False
    parent: str = ""
    parent_split: str = ""

    def to_csv(self) -> dict[str, str]:
        """The fields as text; coordinates keep every digit that matters."""
        text = {f.name: str(getattr(self, f.name)) for f in fields(self)}
        text["x_min"], text["y_max"] = f"{self.x_min:.12g}", f"{self.y_max:.12g}"
        text["valid_fraction"] = f"{self.valid_fraction:.4f}"
        text["cloud_fraction"] = "" if self.cloud_fraction is None else f"{self.cloud_fraction:.4f}"
        text["synthetic"] = "1" if self.synthetic else "0"
        return text

    @classmethod
    def from_csv(cls, row: dict[str, str], where: str) -> "TileRow":
        """Read one line; refuses names that could leave the folder."""
        try:
            made = cls(
                tile=row["tile"], scene=row["scene"], split=row["split"], crs=row["crs"], x_min=float(row["x_min"]),
                y_max=float(row["y_max"]), valid_fraction=float(row["valid_fraction"]),
                cloud_fraction=float(row["cloud_fraction"]) if row.get("cloud_fraction") else None,
                s1_date=row.get("s1_date") or "", s2_date=row.get("s2_date") or "", synthetic=row.get("synthetic") == "1",
                parent=row.get("parent") or "", parent_split=row.get("parent_split") or "",
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as err:
            raise InputError(
                explain(
                    where,
                    expected="the columns of tiles.csv",
                    found=repr(err),
                    fix="Restore the file, or make the dataset again.",
                )
            ) from err
        if not _SAFE_NAME.fullmatch(made.tile or ""):
            raise InputError(
                explain(
                    where,
                    expected="a tile name of letters, digits, '.', '_' and '-'",
                    found=repr(made.tile),
                    fix="Rename the tile.",
                )
            )
        if made.split not in SPLITS:
            raise InputError(
                explain(
                    where,
                    expected=f"a split out of {', '.join(SPLITS)}",
                    found=repr(made.split),
                    fix="Correct the line.",
                )
            )
        shares = [made.valid_fraction, *([] if made.cloud_fraction is None else [made.cloud_fraction])]
        if not all(0 <= share <= 1 for share in shares):
            raise InputError(
                explain(where, expected="valid_fraction and cloud_fraction from 0 to 1", found=", ".join(map(str, shares)), fix="Correct the line.")
            )  # fmt: skip
        if not (math.isfinite(made.x_min) and math.isfinite(made.y_max)):
            raise InputError(
                explain(
                    where,
                    expected="finite x_min and y_max",
                    found=f"{made.x_min}, {made.y_max}",
                    fix="Correct the line.",
                )
            )
        return made


COLUMNS = tuple(f.name for f in fields(TileRow))
_ALWAYS = ("tile", "scene", "split", "crs", "x_min", "y_max", "valid_fraction")
"""Columns without which a table is none of ours."""


def split_sha256(rows: Iterable[TileRow]) -> str:
    """SHA-256 of the sorted lines `tile,split`, joined by newlines: the identity of a split."""
    return hashlib.sha256("\n".join(sorted(f"{r.tile},{r.split}" for r in rows)).encode()).hexdigest()


def of_another_split(scores: Mapping[str, Any]) -> list[str]:
    """A line to print beside scores of a dataset whose split is not the one that the model was trained on; else none."""
    trained, own = scores["trained_split_sha256"], scores["split_sha256"]
    if not trained or trained == own:
        return []
    return [
        f"trained on another split ({trained[:12]}…): where these are tiles of the same places, some may be tiles that it was trained on"
    ]


class DatasetFolder:
    """A dataset on disk: its description, its tiles, and where each file lies."""

    def __init__(self, path: Path, info: DatasetInfo, rows: Sequence[TileRow]) -> None:
        self.path = path
        self.info = info
        self.rows = tuple(rows)
        self._by_name = {row.tile: row for row in self.rows}

    @classmethod
    def open(cls, path: str | Path) -> "DatasetFolder":
        """Read `dataset.json` and `tiles.csv`, refusing what is not a dataset."""
        path = Path(path)
        if not path.is_dir():
            raise InputError(
                explain(
                    path,
                    expected="a dataset folder",
                    found="no such folder",
                    fix="Make one with `rsspade world` or `rsspade prepare`.",
                )
            )
        info = parse_info(path / "dataset.json", _read_text(path / "dataset.json"))
        table = csv.DictReader(io.StringIO(_read_text(path / "tiles.csv")))
        missing = [name for name in _ALWAYS if name not in (table.fieldnames or ())]
        if missing:
            raise InputError(
                explain(path / "tiles.csv", expected=f"the columns {', '.join(_ALWAYS)}", found=f"no {', '.join(missing)}",
                        fix="Restore the file, or make the dataset again.")
            )  # fmt: skip
        try:
            rows = [TileRow.from_csv(row, f"{path / 'tiles.csv'} line {n}") for n, row in enumerate(table, start=2)]
        except csv.Error as err:
            raise InputError(
                explain(f"{path / 'tiles.csv'} after line {table.line_num}", expected="a table (CSV)", found=str(err), fix="Restore the file, or make the dataset again.")
            ) from err  # fmt: skip
        names = {r.tile for r in rows}
        if len(names) != len(rows):
            raise InputError(
                explain(
                    path / "tiles.csv",
                    expected="each tile once",
                    found=f"{len(rows) - len(names)} repeated names",
                    fix="Remove the repeated lines.",
                )
            )
        return cls(path, info, rows)

    @property
    def scheme(self) -> Scheme:
        """The land-cover scheme of the LULC tiles."""
        return scheme_named(self.info.landcover_scheme)

    @property
    def optical_bands(self) -> tuple[str, ...]:
        """The optical bands, in file order; empty where the dataset has no optical source."""
        found = next((self.info.sources[f] for f in ("S2", "S2_CLOUDY") if f in self.info.sources), {})
        return tuple(found.get("bands", ()))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything beside the tiles on which their meaning depends: the content of `dataset.json`."""
        return self.info.to_dict()

    def sun(self, tile: str) -> tuple[float, float]:
        """Azimuth and elevation of the sun over a tile in degrees: as recorded, else as on Sentinel-2's passage that day."""
        row = self._by_name[tile]
        if row.scene in self.info.sun:
            azimuth, elevation = self.info.sun[row.scene]
            return azimuth, elevation
        half = self.info.tile_size * self.info.pixel_size / 2
        return sun_over(row.s2_date, row.crs, row.x_min + half, row.y_max - half)

    def source(self, name: str) -> Source:
        """The source as this dataset holds it."""
        return source_named(name, self.optical_bands or ("blue", "green", "red", "nir"))

    def tile_path(self, name: str, tile: str) -> Path:
        """Where that source of that tile lies, or would lie."""
        return self.path / self.source(name).folder / f"{tile}.tif"

    def has(self, name: str, tile: str) -> bool:
        """Whether the tile holds that source."""
        return self.tile_path(name, tile).is_file()

    def read(self, name: str, tile: str) -> Any:  # noqa: ANN401 (an array; kept loose for callers' dtypes)
        """The source of a tile in physical units, (bands, H, W), bands in the dataset's order."""
        return read_tile(self.tile_path(name, tile), band_names=self.source(name).band_names)

    def in_split(self, split: str) -> tuple[TileRow, ...]:
        """The tiles of a split, in the order of `tiles.csv`."""
        return tuple(r for r in self.rows if r.split == split)

    @staticmethod
    def write(path: Path, info: DatasetInfo, rows: Iterable[TileRow]) -> None:
        """Write both files into an existing folder, each atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(r.to_csv() for r in sorted(rows, key=lambda r: r.tile))
        write_bytes_atomically(path / "tiles.csv", text.getvalue().encode())
        write_bytes_atomically(path / "dataset.json", info.to_json().encode())


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise InputError(
            explain(
                path,
                expected=f"the file {path.name} of a dataset",
                found="none",
                fix="Is this the right folder? An interrupted job lies in a folder named OUT.partial.",
            )
        )
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(
            explain(
                path,
                expected=f"at most {_MAX_BYTES} bytes",
                found=str(path.stat().st_size),
                fix="This is not a file that RS-SPADE wrote.",
            )
        )
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the first letter
    except UnicodeDecodeError as err:
        raise InputError(explain(path, expected="UTF-8 text", found=str(err), fix="Restore the file.")) from err
