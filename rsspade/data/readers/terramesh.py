"""TerraMesh as folders of GeoTIFFs: S2L2A, S1RTC or S1GRD, DEM, LULC, the same stem in each.

The Sentinel-2 numbers carry the offset of newer products in some samples and not in others, so it is asked of
each tile's own pixels. A tile whose pixels do not tell is refused rather than guessed, or left without an optical
image where that is asked for. No file declares nodata.

Dataset: Blumenstiel et al., "TerraMesh", CC BY-SA 4.0; its own split into train and val is kept.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from rsspade.data.readers.base import (
    PublicReader,
    PublicTile,
    names_in,
    optical_indices,
    radar_db,
    read_georeference,
    read_raw,
)
from rsspade.errors import ConfigError, InputError, explain
from rsspade.geo.offset import detect_offset
from rsspade.geo.optical import to_reflectance
from rsspade.geo.terrain import terrain_derivatives
from rsspade.sources import DEFAULT_OPTICAL_BANDS, SENTINEL2_PRODUCT_NAMES

__all__ = ["TerraMeshReader"]

_FOLDERS = {"s2": ("S2L2A",), "s1": ("S1RTC", "S1GRD"), "lulc": ("LULC",), "dem": ("DEM",)}
_BANDS = tuple(b for b in SENTINEL2_PRODUCT_NAMES if b != "cirrus")
_GRID_CELL = re.compile(r"(\d+[UD]_\d+[LR])_\d+_\d+")
_SAFE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_ELEVATIONS = (-500, 9000)  # outside lie the various marks for voids


class TerraMeshReader(PublicReader):
    """Reads a TerraMesh folder.

    Args:
        path: Holds the source folders, or `train` and `val` that hold them.
        split: Of tiles that lie in no split folder.
        optical_bands: Common names, any of the twelve.
        offset: What to add to the digital numbers of every tile; `auto` looks at each.
        undecided: What happens to a tile whose pixels do not tell: `refuse`, or `leave_out` its optical image.
    """

    name: ClassVar[str] = "TerraMesh"
    source_names: ClassVar[tuple[str, ...]] = ("s2", "s1", "lulc", "dem")

    def __init__(
        self,
        path: str | Path,
        *,
        split: str = "train",
        optical_bands: Sequence[str] = DEFAULT_OPTICAL_BANDS,
        offset: int | Literal["auto"] = "auto",
        undecided: Literal["refuse", "leave_out"] = "refuse",
    ) -> None:
        path = Path(path)
        if offset not in ("auto", 0, -1000):
            raise ConfigError(explain("offset", expected="auto, 0 or -1000", found=repr(offset), fix="Correct it."))
        if undecided not in ("refuse", "leave_out"):
            raise ConfigError(
                explain("undecided", expected="refuse or leave_out", found=repr(undecided), fix="Correct it.")
            )
        self.offset: int | Literal["auto"] = offset
        self.undecided = undecided
        self._indices = optical_indices(optical_bands, num_stored=len(_BANDS), where=path)
        self._roots: dict[str, Path] = {}
        rows = self._list(path, split)
        super().__init__(path, rows, optical_bands=optical_bands, scheme="terramesh")

    def _list(self, path: Path, split: str) -> list[PublicTile]:
        roots = {s: path / s for s in ("train", "val", "test") if (path / s).is_dir()} or {split: path}
        rows = []
        for of_split, root in roots.items():
            folders = [root / f for folders in _FOLDERS.values() for f in folders if (root / f).is_dir()]
            stems = {n[:-4] for folder in folders for n in names_in(folder) if n.endswith(".tif")}
            for stem in sorted(stems):
                if not _SAFE_STEM.fullmatch(stem) or stem in self._roots:
                    found = (
                        f"{stem!r} in {self._roots[stem].name} and {root.name}" if stem in self._roots else repr(stem)
                    )
                    raise InputError(
                        explain(root, expected="each tile in one split, named with letters, digits, '.', '_' and '-'",
                                found=found, fix="Rename or remove it.")
                    )  # fmt: skip
                self._roots[stem] = root
                cell = _GRID_CELL.fullmatch(stem)
                rows.append(PublicTile(tile=stem, scene=cell[1] if cell else stem, split=of_split))
        if not rows:
            raise InputError(
                explain(path, expected="TerraMesh as folders S2L2A, S1RTC or S1GRD, DEM, LULC with TILE.tif in them",
                        found="none", fix="Is this the right folder? Shards (*.tar) must be unpacked to GeoTIFFs first.")
            )  # fmt: skip
        return rows

    @property
    def settings(self) -> dict[str, Any]:
        """The offset and what is done where it cannot be told."""
        return {"reader": "terramesh", "offset": self.offset, "undecided": self.undecided}

    def tile_path(self, name: str, tile: str) -> Path:
        """Where that source of that tile lies, or would lie; radar in the first of its two folders that holds it."""
        root = self._roots.get(tile, self.path)
        paths = [root / folder / f"{tile}.tif" for folder in _FOLDERS.get(name, (name.upper(),))]
        return next((p for p in paths[:-1] if p.is_file()), paths[-1])

    def _read(self, name: str, path: Path) -> np.ndarray:
        if name == "s2":
            return self._read_optical(path)
        if name == "s1":
            return radar_db(read_raw(path, counts=(2,)))
        if name == "lulc":
            return self.scheme.normalise(read_raw(path, counts=(1,)), path)
        elevation = read_raw(path, counts=(1,))[0].astype(np.float32)
        elevation[(elevation < _ELEVATIONS[0]) | (elevation > _ELEVATIONS[1])] = np.nan
        grid = read_georeference(path)
        if not grid.crs.is_projected:
            raise InputError(
                explain(
                    path, expected="elevation on a metric grid", found=str(grid.crs), fix="Download the tile again."
                )
            )
        return terrain_derivatives(elevation, (abs(grid.transform.a), abs(grid.transform.e)))

    def _read_optical(self, path: Path) -> np.ndarray:
        numbers = read_raw(path, counts=(len(_BANDS),))
        offset = self._detect(numbers, path) if self.offset == "auto" else self.offset
        if offset is None:
            return np.full((len(self._indices), *numbers.shape[1:]), np.nan, np.float32)
        # All twelve bands decide on missing pixels; the wanted ones are taken after that.
        return np.asarray(to_reflectance(numbers, offset=offset)[self._indices])

    def _detect(self, numbers: np.ndarray, path: Path) -> int | None:
        try:
            return detect_offset(dict(zip(_BANDS, numbers, strict=True)), where=path)
        except InputError as err:
            if self.undecided == "leave_out":
                return None
            raise InputError(
                explain(path, expected="dark pixels that show whether the offset of newer products is in", found="none",
                        fix="Pass offset=0 or offset=-1000, or undecided='leave_out' to do without such images.")
            ) from err  # fmt: skip
