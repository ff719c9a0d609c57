"""Where there is data, how much cloud, which classes; and whether tiles.csv tells the truth about it."""

from collections import Counter, defaultdict

import numpy as np

from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section
from rsspade.data.manifest import DatasetFolder
from rsspade.sources import CLOUD, CLOUD_CLASSES, UNLABELLED

__all__ = ["CoverCheck"]

_FRACTION_TOLERANCE = 0.01
_WATER_ID = 0  # of Dynamic World; also what an export writes where it has nothing


class CoverCheck:
    """Nodata, clouds and land-cover classes."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._pixels: Counter[str] = Counter()
        self._nodata: Counter[str] = Counter()
        self._hollow: list[str] = []
        self._classes = np.zeros(256, np.int64)
        self._clouds = np.zeros(256, np.int64)
        self._foreign: list[str] = []
        self._wrong: dict[str, list[str]] = defaultdict(list)
        # Land cover where an image has no data, and elsewhere: [water, labelled] pixels.
        self._trap = {"nodata": np.zeros(2, np.int64), "data": np.zeros(2, np.int64)}
        self._trapped: list[str] = []

    def add(self, tile: TileView) -> None:
        """Take in one tile."""
        valid = {f: mask for f in tile.images if (mask := tile.valid(self._dataset, f)) is not None}
        for folder, mask in valid.items():
            self._pixels[folder] += mask.size
            self._nodata[folder] += int(mask.size - np.count_nonzero(mask))
            if not mask.any() and folder != CLOUD.folder:
                self._hollow.append(f"{folder}/{tile.row.tile}.tif")
        if "LULC" in tile.images:
            self._add_classes(tile.images["LULC"][0], tile.row.tile)
            self._add_trap(tile, valid)
        self._compare_fractions(tile, valid)

    def _add_classes(self, classes: np.ndarray, tile: str) -> None:
        counts = np.bincount(classes.astype(np.uint8).ravel(), minlength=256)
        self._classes += counts
        foreign = [i for i in np.flatnonzero(counts).tolist() if i not in (*self._dataset.scheme.ids, UNLABELLED)]
        if foreign:
            self._foreign.append(f"LULC/{tile}.tif (ids {', '.join(map(str, foreign[:6]))})")

    def _add_trap(self, tile: TileView, valid: dict[str, np.ndarray]) -> None:
        """Dynamic World exported without a mask writes 0, which is its id of water, where it has nothing."""
        masks = [m for m in (_optical_valid(valid), valid.get("S1")) if m is not None]
        if not masks or self._dataset.info.landcover_scheme != "dynamic_world":
            return
        imaged = np.logical_and.reduce(masks)
        classes = tile.images["LULC"][0]
        for key, where in (("nodata", ~imaged), ("data", imaged)):
            ids = classes[where & (classes != UNLABELLED)]
            water = np.count_nonzero(ids == _WATER_ID)
            self._trap[key] += (water, ids.size)
            if key == "nodata" and ids.size and water > 0.9 * ids.size:
                self._trapped.append(tile.row.tile)

    def _compare_fractions(self, tile: TileView, valid: dict[str, np.ndarray]) -> None:
        masks = [m for m in (_optical_valid(valid), *(valid.get(f) for f in ("S1", "LULC", "DEM"))) if m is not None]
        if masks:
            found = float(np.logical_and.reduce(masks).mean())
            if abs(found - tile.row.valid_fraction) > _FRACTION_TOLERANCE:
                text = f"{tile.row.tile} ({tile.row.valid_fraction:.3f} there, {found:.3f} found)"
                self._wrong["valid_fraction"].append(text)
        if CLOUD.folder not in tile.images:
            return
        counts = np.bincount(tile.images[CLOUD.folder].astype(np.uint8).ravel(), minlength=256)
        self._clouds += counts
        known = counts.sum() - counts[UNLABELLED]
        if known:
            found = float((known - counts[0]) / known)
            told = tile.row.cloud_fraction
            if told is None or abs(found - told) > _FRACTION_TOLERANCE:
                told_text = "nothing" if told is None else f"{told:.3f}"
                self._wrong["cloud_fraction"].append(f"{tile.row.tile} ({told_text} there, {found:.3f} found)")

    def section(self) -> Section:
        """What was found."""
        findings = [self._nodata_shares(f) for f in self._pixels if f != CLOUD.folder]
        if self._hollow:
            fix = "Remove these files (a tile may lack a source), or prepare the scene again."
            text = f"{len(self._hollow)} files hold no data at all"
            findings.append(Finding(level=Level.FAIL, check="nodata.all", text=text, fix=fix, places=self._hollow))
        findings += self._cloud_shares() + self._class_shares() + self._trap_finding()
        for column in ("valid_fraction", "cloud_fraction"):
            places = self._wrong[column]
            if places:
                text = f"{column} of tiles.csv disagrees with the pixels of {len(places)} tiles"
                fix = "The files were changed after the dataset was made; make it again."
                findings.append(
                    Finding(level=Level.FAIL, check=f"manifest.{column}", text=text, fix=fix, places=places)
                )
        if not any(self._wrong.values()) and self._pixels:
            text = "valid_fraction and cloud_fraction of tiles.csv agree with the pixels"
            findings.append(Finding(level=Level.OK, check="manifest.fractions", text=text))
        return Section(title="Nodata, clouds and classes", findings=findings)

    def _nodata_shares(self, folder: str) -> Finding:
        share = self._nodata[folder] / self._pixels[folder]
        # Clouds are cut out of S2 and land cover may well be unknown; radar and heights have no such excuse.
        level = (
            Level.OK
            if share == 0
            else Level.WARNING
            if share > (0.2 if folder in ("S1", "DEM") else 0.6)
            else Level.NOTE
        )
        text = f"{folder}: {share:.2%} of the pixels have {'no label' if folder == 'LULC' else 'no data'}"
        return Finding(level=level, check=f"nodata.{folder}", text=text, numbers={"share": share})

    def _cloud_shares(self) -> list[Finding]:
        total = int(self._clouds.sum())
        if not total:
            return []
        shares = {name: float(self._clouds[i] / total) for i, name in CLOUD_CLASSES.items() if self._clouds[i]}
        text = "clouds: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        found = [Finding(level=Level.OK, check="cloud.shares", text=text, numbers=shares)]
        foreign = [str(i) for i in np.flatnonzero(self._clouds).tolist() if i not in CLOUD_CLASSES]
        if foreign:
            text = f"CLOUD holds ids other than {', '.join(map(str, CLOUD_CLASSES))}: {', '.join(foreign)}"
            fix = "Write 0 clear, 1 cloud, 2 shadow, 255 unknown."
            found.append(Finding(level=Level.FAIL, check="cloud.ids", text=text, fix=fix))
        return found

    def _class_shares(self) -> list[Finding]:
        scheme = self._dataset.scheme
        labelled = int(self._classes[list(scheme.ids)].sum())
        found = []
        if self._foreign:
            text = f"land cover holds ids that are not classes of {scheme.name} ({', '.join(map(str, scheme.ids))})"
            fix = "Prepare again with --landcover-scheme naming the scheme of the input."
            found.append(Finding(level=Level.FAIL, check="classes.ids", text=text, fix=fix, places=self._foreign))
        if labelled:
            shares = {c.name: float(self._classes[c.id] / labelled) for c in scheme.classes}
            shown = sorted((s, n) for n, s in shares.items() if s > 0)[::-1]
            text = f"classes ({scheme.name}): " + ", ".join(f"{name} {share:.1%}" for share, name in shown)
            level = Level.NOTE if shown[0][0] > 0.95 else Level.OK
            found.append(Finding(level=level, check="classes.shares", text=text, numbers=shares))
            absent = [name for name, share in shares.items() if share == 0]
            if absent:
                text = f"classes that no pixel has: {', '.join(absent)}; nothing can be learnt of them"
                found.append(Finding(level=Level.NOTE, check="classes.absent", text=text))
        return found

    def _trap_finding(self) -> list[Finding]:
        water, without = (int(v) for v in self._trap["nodata"])
        elsewhere = self._trap["data"][0] / max(self._trap["data"][1], 1)
        if without < 100 or water < 0.9 * without or elsewhere > 0.5:
            return []
        text = (
            f"{water / without:.0%} of the {without} labelled pixels without an image are class 0 (water), "
            f"against {elsewhere:.0%} where there is one: exports write 0 where they have nothing"
        )
        fix = "Export Dynamic World with .unmask(255) or a nodata value, and prepare again."
        numbers = {"water_share_without_image": water / without, "water_share_with_image": float(elsewhere)}
        return [
            Finding(
                level=Level.WARNING,
                check="classes.zero_as_water",
                text=text,
                fix=fix,
                places=self._trapped,
                numbers=numbers,
            )
        ]


def _optical_valid(valid: dict[str, np.ndarray]) -> np.ndarray | None:
    """Where the optical sensor looked: clouds count as data."""
    masks = [valid[f] for f in ("S2", "S2_CLOUDY") if f in valid]
    return np.logical_or.reduce(masks) if masks else None
