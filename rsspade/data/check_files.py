"""Are the files there, whole, of the promised form, and all on one grid?"""

import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

from rsspade.data.check_report import Finding, Level, Section
from rsspade.data.geotiff import MAX_TILE_PIXELS, read_tile
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.errors import InputError

__all__ = ["FileCheck", "TileView"]

_GRID_TOLERANCE_PX = 0.01  # tiles.csv keeps ten digits; a resampled pixel is off by much more


@dataclass(frozen=True, slots=True)
class TileView:
    """A tile as the other checks see it: what could be read, in physical units.

    Attributes:
        row: Its line of `tiles.csv`.
        images: Folder -> (bands, H, W), in the order of the dataset's bands.
    """

    row: TileRow
    images: dict[str, np.ndarray]

    def valid(self, dataset: DatasetFolder, folder: str) -> np.ndarray | None:
        """Where the source has data, None where the tile does not hold it."""
        image = self.images.get(folder)
        return None if image is None else dataset.source(folder).valid(image)


# Problem -> (what is wrong, what to do).
_PROBLEMS = {
    "files.unreadable": ("cannot be read to the last pixel", "Copy the files again, or make the tiles again."),
    "files.bands": ("do not hold the bands of dataset.json", "Write the band descriptions, or make the tiles again."),
    "files.dtype": ("have another pixel type than dataset.json says", "Make the tiles again, or correct dataset.json."),
    "files.nodata": ("declare another nodata value than dataset.json says", "Declare it (gdal_edit.py -a_nodata), or make the tiles again."),
    "files.size": ("are not of the dataset's tile size", "Make the tiles again with one --tile-size."),
    "files.form": ("are not tiled and compressed", "Rewrite them with gdal_translate -co TILED=YES -co COMPRESS=DEFLATE."),
    "grid.crs": ("lie in another CRS than tiles.csv says, or in none", "Prepare the scene again; every source of a tile shares one grid."),
    "grid.transform": ("do not start at x_min, y_max of tiles.csv with the dataset's pixel size", "Prepare the scene again; every source of a tile shares one grid."),
}  # fmt: skip


class FileCheck:
    """Opens every file of every tile once, and remembers what is wrong with it."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._present: Counter[str] = Counter()
        self._bad: dict[str, list[str]] = defaultdict(list)
        self._empty: list[str] = []
        self._crs: dict[str, CRS | None] = {}

    def read(self, row: TileRow) -> TileView:
        """The tile, without the files that cannot be used."""
        images: dict[str, np.ndarray] = {}
        for folder in self._dataset.info.sources:
            path = self._dataset.tile_path(folder, row.tile)
            if not path.is_file():
                continue
            self._present[folder] += 1
            image = self._read_file(folder, path, row)
            if image is not None:
                images[folder] = image
        if not images:
            self._empty.append(row.tile)
        return TileView(row, images)

    def _read_file(self, folder: str, path: Path, row: TileRow) -> np.ndarray | None:
        name = f"{folder}/{path.name}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # reported as grid.crs
                with rasterio.open(path) as src:
                    if src.width * src.height > MAX_TILE_PIXELS:
                        self._bad["files.size"].append(f"{name} ({src.width}×{src.height})")
                        return None
                    usable = self._inspect(name, src, folder, row)
                image = read_tile(path) if usable else None
        except (InputError, RasterioError) as err:
            self._bad["files.unreadable"].append(f"{name} ({_short(err)})")
            return None
        return image

    def _inspect(self, name: str, src: Any, folder: str, row: TileRow) -> bool:  # noqa: ANN401 (rasterio has no types)
        """Compare the header with what the dataset promises; False where the pixels cannot be compared."""
        info, entry = self._dataset.info, self._dataset.info.sources[folder]
        size = info.tile_size
        usable = True

        def bad(problem: str, found: object) -> None:
            self._bad[problem].append(f"{name} ({found})")

        if not list(src.descriptions) == entry["bands"] == list(self._dataset.source(folder).band_names):
            bad("files.bands", ", ".join(d or "unnamed" for d in src.descriptions))
            usable = False
        if any(t != entry.get("dtype", t) for t in src.dtypes):
            bad("files.dtype", "/".join(sorted(set(src.dtypes))))
        if not _same_number(src.nodata, entry.get("nodata")):
            bad("files.nodata", "none" if src.nodata is None else f"{src.nodata:g}")
        if (src.height, src.width) != (size, size):
            bad("files.size", f"{src.width}×{src.height}")
            usable = False
        if not src.profile.get("tiled") or src.compression is None:
            bad("files.form", f"{'tiled' if src.profile.get('tiled') else 'in strips'}, compression {src.compression}")
        if src.crs is None or src.crs != self._expected_crs(row.crs):
            bad("grid.crs", src.crs or "no CRS")
        wanted = (info.pixel_size, 0.0, row.x_min, 0.0, -info.pixel_size, row.y_max)
        if not np.allclose(tuple(src.transform)[:6], wanted, rtol=0, atol=_GRID_TOLERANCE_PX * info.pixel_size):
            right = (src.transform.c - row.x_min) / info.pixel_size
            down = (row.y_max - src.transform.f) / info.pixel_size
            bad("grid.transform", f"{right:+.2f}, {down:+.2f} px, pixel {src.transform.a:g}×{-src.transform.e:g}")
        return usable

    def _expected_crs(self, text: str) -> CRS | None:
        if text not in self._crs:
            try:
                self._crs[text] = CRS.from_user_input(text)
            except (CRSError, ValueError):  # EPSG:here is a ValueError to rasterio
                self._crs[text] = None
        return self._crs[text]

    def section(self) -> Section:
        """What was found."""
        findings = []
        for problem, (what, fix) in _PROBLEMS.items():
            places = self._bad[problem]
            if places:
                text = f"{len(places)} {'file' if len(places) == 1 else 'files'} {what}"
                findings.append(Finding(level=Level.FAIL, check=problem, text=text, fix=fix, places=places))
        total = sum(self._present.values())
        if not findings:
            text = f"all {total} files read to the last pixel: bands, type, nodata, size, grid as promised"
            findings.append(Finding(level=Level.OK, check="files", text=text, numbers={"files": total}))
        return Section(title="Files and grid", findings=[*findings, *self._presence(), *self._strays()])

    def _presence(self) -> list[Finding]:
        tiles = len(self._dataset.rows)
        counts = {folder: self._present[folder] for folder in self._dataset.info.sources}
        partial = any(n < tiles for n in counts.values())
        text = ", ".join(f"{folder} {n}" for folder, n in counts.items()) or "none"
        found = [Finding(
            level=Level.NOTE if partial else Level.OK, check="files.sources",
            text=f"tiles that hold each source (of {tiles}): {text}", numbers={"tiles": tiles, **counts},
        )]  # fmt: skip
        absent = [folder for folder, n in counts.items() if n == 0]
        if absent:
            text = "dataset.json lists sources that no tile holds"
            found.append(Finding(level=Level.WARNING, check="files.unused_source", text=text, places=absent))
        if self._empty:
            text = f"{len(self._empty)} tiles of tiles.csv hold no readable source at all"
            fix = "Restore their files, or make the dataset again."
            found.append(Finding(level=Level.FAIL, check="files.no_source", text=text, fix=fix, places=self._empty))
        return found

    def _strays(self) -> list[Finding]:
        """Files that look like tiles and that no line of tiles.csv accounts for."""
        names = {row.tile for row in self._dataset.rows}
        known = {self._dataset.source(f).folder for f in self._dataset.info.sources}
        strays = [
            f"{path.parent.name}/{path.name}"
            for path in sorted(self._dataset.path.glob("*/*.tif*"))
            if not path.name.startswith(".")
            and path.suffix in (".tif", ".tiff")
            and (path.stem not in names or path.parent.name not in known)
        ]
        if not strays:
            return []
        text = f"{len(strays)} files lie in the folder that tiles.csv and dataset.json do not account for; nothing reads them"
        fix = "Remove them, or make the dataset again if they belong to it."
        return [Finding(level=Level.WARNING, check="files.stray", text=text, fix=fix, places=strays)]


def _same_number(found: float | None, wanted: object) -> bool:
    if wanted is None or found is None:
        return found is None and wanted is None
    value = float(str(wanted))
    return found == value or (np.isnan(found) and np.isnan(value))


def _short(err: Exception) -> str:
    text = " ".join(str(err).split())
    if isinstance(err, InputError) and ", found " in text:
        text = text.split(", found ", 1)[1]
    return text if len(text) <= 120 else text[:117] + "…"
