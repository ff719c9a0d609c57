"""SEN12MS and SEN12MS-CR as they are published, with their official splits by exact scene.

Three layouts are understood:
    SEN12MS      ROIs1158_spring/s1_63/ROIs1158_spring_s1_63_p12.tif, with s2 and lc beside s1
    SEN12MS-CR   ROIs1158_spring_s1/s1_1/ROIs1158_spring_s1_1_p407.tif, with s2 and s2_cloudy beside s1
    a flat one   s1/ROIs1970_fall_139_p839.tif, with s2_cloudfree and s2_cloudy beside s1 (SEN12MS-CR)

A scene is a season and a whole number. Public loaders match scenes by substring, so that their train scene 1
takes in 106, 123 and 140 of the test scenes; here the number is parsed, from the file's name and from its
folder's, and both must agree.

Datasets: Schmitt et al. 2019 and Ebel et al. 2020, CC BY 4.0. Sentinel-2 is L1C of 2016 to 2018 without an offset.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rsspade.data.readers.base import PublicReader, PublicTile, names_in, optical_indices, radar_db, read_raw
from rsspade.errors import InputError, explain
from rsspade.geo.optical import to_reflectance
from rsspade.sources import DEFAULT_OPTICAL_BANDS

__all__ = ["OFFICIAL_SPLITS", "Sen12msReader", "read_scene_list"]

Scene = tuple[str, int]
"""Season and number, such as ("spring", 106)."""


def _scenes(**numbers: Sequence[int]) -> frozenset[Scene]:
    return frozenset((season, number) for season, all_of_it in numbers.items() for number in all_of_it)


OFFICIAL_SPLITS: Mapping[str, Mapping[str, frozenset[Scene]]] = {
    # The hold-out scenes (test) and the validation scenes that the dataset's own toolbox publishes.
    "SEN12MS": {
        "test": _scenes(
            spring=[15, 17, 63, 97, 124, 146], summer=[15, 19, 43, 72, 79, 104, 131],
            fall=[30, 35, 39, 47, 61, 120, 141, 144], winter=[32, 64, 107, 135, 146],
        ),
        "val": _scenes(
            spring=[44, 45, 77, 112, 113, 117], summer=[26, 36, 55, 73, 89, 113],
            fall=[1, 3, 14, 20, 57, 62, 93, 130, 142], winter=[69, 77, 103, 144],
        ),
    },
    # As published with UnCRtainTS (Ebel et al. 2023) and used since.
    "SEN12MS-CR": {
        "test": _scenes(spring=[31, 44, 106, 123, 140], summer=[73, 119], fall=[139], winter=[63, 108]),
        "val": _scenes(spring=[17], summer=[17, 19, 80, 127], fall=[65], winter=[22, 84, 107, 130]),
    },
}  # fmt: skip
"""Dataset -> split -> scenes; every other scene is train."""

_ROI = r"(ROIs\d{4})_(spring|summer|fall|winter)"
_FILE = re.compile(_ROI + r"(?:_(s1|s2|s2_cloudy|lc))?_(\d{1,6})_p(\d{1,6})\.tif")
_SENSORS = {"s1": "s1", "s2": "s2", "s2_cloudfree": "s2", "s2_cloudy": "s2_cloudy", "lc": "lulc"}
_FLAT_FOLDERS = {"s1": "s1", "s2": "s2_cloudfree", "s2_cloudy": "s2_cloudy"}
_TOKENS = {"s1": "s1", "s2": "s2", "s2_cloudy": "s2_cloudy", "lulc": "lc"}
_LAYOUTS = {"SEN12MS": re.compile(_ROI), "SEN12MS-CR": re.compile(_ROI + r"_(s1|s2|s2_cloudy)"),
            "flat": re.compile("s1|s2_cloudfree|s2_cloudy")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Patch:
    roi: str
    season: str
    scene: int
    patch: int

    @property
    def tile(self) -> str:
        return f"{self.roi}_{self.season}_{self.scene}_p{self.patch}"

    def path(self, layout: str, source: str) -> Path:
        """Relative to the root; the names are composed of matched words and numbers, so none can lead elsewhere."""
        area = f"{self.roi}_{self.season}"
        if layout == "flat":
            return Path(_FLAT_FOLDERS.get(source, source), f"{self.tile}.tif")
        sensor = _TOKENS.get(source, source)
        top = area if layout == "SEN12MS" else f"{area}_{sensor}"
        return Path(top, f"{sensor}_{self.scene}", f"{area}_{sensor}_{self.scene}_p{self.patch}.tif")


class Sen12msReader(PublicReader):
    """Reads SEN12MS or SEN12MS-CR; which one it is follows from the layout.

    Args:
        path: The root folder.
        optical_bands: Common names, any of the thirteen.
        hold_out: A file with the scenes of the test split, one `ROIs1158_spring/s1_63` per line, instead of the
            official ones. They are taken out of val and train.
    """

    name: ClassVar[str] = "SEN12MS"
    source_names: ClassVar[tuple[str, ...]] = ("s2", "s1", "lulc", "s2_cloudy")

    def __init__(
        self,
        path: str | Path,
        *,
        optical_bands: Sequence[str] = DEFAULT_OPTICAL_BANDS,
        hold_out: str | Path | None = None,
    ) -> None:
        path = Path(path)
        self._indices = optical_indices(optical_bands, num_stored=13, where=path)
        self.layout = _find_layout(path)
        self.dataset = "SEN12MS" if self.layout == "SEN12MS" else "SEN12MS-CR"
        splits = OFFICIAL_SPLITS[self.dataset]
        self._test = splits["test"] if hold_out is None else read_scene_list(Path(hold_out))
        self._val = splits["val"] - self._test
        self._patches = {patch.tile: patch for patch in _find_patches(path, self.layout)}
        rows = [
            PublicTile(tile=p.tile, scene=f"{p.roi}_{p.season}_{p.scene}", split=self.split_of((p.season, p.scene)))
            for p in sorted(self._patches.values(), key=lambda p: (p.roi, p.scene, p.patch))
        ]
        super().__init__(path, rows, optical_bands=optical_bands, scheme="igbp")

    def split_of(self, scene: Scene) -> str:
        """The split of a scene: membership of a set, never a comparison of texts."""
        return "test" if scene in self._test else "val" if scene in self._val else "train"

    @property
    def settings(self) -> dict[str, Any]:
        """Which dataset it is."""
        return {"reader": self.dataset, "layout": self.layout}

    def tile_path(self, name: str, tile: str) -> Path:
        """Where that source of that tile lies, or would lie."""
        patch = self._patches.get(tile)
        return self.path / (f"{name}/absent" if patch is None else patch.path(self.layout, name))

    def _read(self, name: str, path: Path) -> np.ndarray:
        if name == "s1":  # one published patch (summer, 146, p202) is damaged: its NaN become invalid pixels
            return radar_db(read_raw(path, counts=(2,)))
        if name == "lulc":  # band 1 of 4 is IGBP
            return self.scheme.normalise(read_raw(path, counts=(4,), indexes=(0,)), path)
        return np.asarray(to_reflectance(read_raw(path, counts=(13,)))[self._indices])


def read_scene_list(path: Path) -> frozenset[Scene]:
    """Read lines such as `ROIs1158_spring/s1_63`; refuses a line that is anything else."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(1_000_000).split()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(explain(path, expected="a list of scenes", found=str(err), fix="Correct the path.")) from err
    scenes = set()
    for line in lines:
        match = re.fullmatch(_ROI + r"(?:_s\d)?/(?:s1|s2|lc)_(\d{1,6})", line)
        if match is None:
            raise InputError(
                explain(
                    path, expected="lines such as ROIs1158_spring/s1_63", found=repr(line[:60]), fix="Correct the line."
                )
            )
        scenes.add((match[2], int(match[3])))
    if not scenes:
        raise InputError(explain(path, expected="at least one scene", found="none", fix="Is this the right file?"))
    return frozenset(scenes)


def _find_layout(path: Path) -> str:
    folders = [n for n in names_in(path) if (path / n).is_dir()] if path.is_dir() else []
    found = [layout for layout, pattern in _LAYOUTS.items() if any(pattern.fullmatch(n) for n in folders)]
    if len(found) != 1:
        raise InputError(
            explain(path, expected="the folders of SEN12MS (ROIs1158_spring/s1_1/…) or of SEN12MS-CR (ROIs1158_spring_s1/s1_1/…, "
                    "or s1, s2_cloudfree, s2_cloudy)", found=" and ".join(found) or "neither", fix="Give the root folder of one.")
        )  # fmt: skip
    return found[0]


def _find_patches(path: Path, layout: str) -> set[_Patch]:
    patches = set()
    for top in names_in(path):
        if not _LAYOUTS[layout].fullmatch(top) or not (path / top).is_dir():
            continue
        below = [""] if layout == "flat" else [n for n in names_in(path / top) if (path / top / n).is_dir()]
        for folder in below:
            for name in names_in(path / top / folder):
                match = _FILE.fullmatch(name)
                if match is None:
                    continue
                patch = _Patch(match[1], match[2], int(match[4]), int(match[5]))
                source = _SENSORS[match[3] or top] if match[3] or layout == "flat" else ""
                if patch.path(layout, source) != Path(top, folder, name):
                    raise InputError(
                        explain(path / top / folder / name, expected="a file whose name agrees with its folder", found="another scene or sensor",
                                fix="Unpack the archives again; a patch in the wrong place could leak into another split.")
                    )  # fmt: skip
                patches.add(patch)
    if not patches:
        raise InputError(
            explain(
                path, expected="patches such as ROIs1158_spring_s1_1_p407.tif", found="none", fix="Unpack the archives."
            )
        )
    return patches
