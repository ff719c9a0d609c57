"""Do the splits keep what is trained on apart from what is tested on?"""

import hashlib
from collections import Counter, defaultdict
from datetime import date
from typing import Any

import numpy as np

from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section
from rsspade.data.footprints import neighbours_across_splits
from rsspade.data.manifest import SPLITS, DatasetFolder, TileRow, split_sha256
from rsspade.data.statistics import combine_statistics, tile_statistics

__all__ = ["SplitCheck", "date_section", "parent_of"]

_GAP_NOTE_DAYS, _GAP_WARNING_DAYS = 6, 15  # one repeat of two satellites; half a month of growth
_STATISTICS_TOLERANCE = 1e-4


class SplitCheck:
    """Leaks between splits, the identity of the split, and the statistics of train."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._statistics: list[dict[str, dict[str, Any]]] = []
        self._unreadable_train = False
        self._is_synthetic = all(row.synthetic for row in dataset.rows)
        self._same_pixels: dict[tuple[str, bytes], list[TileRow]] = defaultdict(list)

    def add(self, tile: TileView) -> None:
        """Take in one tile."""
        if tile.row.split == "train":
            self._statistics.append(
                {f: tile_statistics(image, self._dataset.source(f)) for f, image in tile.images.items()}
            )
            there = sum(self._dataset.has(f, tile.row.tile) for f in self._dataset.info.sources)
            self._unreadable_train |= there != len(tile.images)
        for folder in ("S2", "S1"):
            image = tile.images.get(folder)
            if image is not None and np.isfinite(image).any() and np.nanmin(image) < np.nanmax(image):
                digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
                self._same_pixels[folder, digest].append(tile.row)

    def section(self) -> Section:
        """What was found."""
        findings = [*self._sizes(), *self._identity(), *self._leaks(), *self._copies(), *self._synthetic()]
        return Section(title="Splits", findings=[*findings, *self._compare_statistics()])

    def _sizes(self) -> list[Finding]:
        counts = Counter(row.split for row in self._dataset.rows)
        scenes = {s: len({r.scene for r in self._dataset.in_split(s)}) for s in SPLITS}
        text = ", ".join(f"{s} {counts[s]} tiles of {scenes[s]} scenes" for s in SPLITS)
        found = [Finding(level=Level.OK, check="split.sizes", text=text, numbers=dict(counts))]
        empty = [s for s in SPLITS if not counts[s]]
        if self._is_synthetic:
            text = f"every tile is synthetic{_lent(self._dataset)}: to be used beside the real dataset, whose splits it keeps"
            found.append(Finding(level=Level.NOTE, check="split.all_synthetic", text=text))
        elif empty:
            fix = "Add scenes, or prepare with --split-mode block."
            text = f"no tiles in {' and '.join(empty)}"
            found.append(Finding(level=Level.WARNING, check="split.empty", text=text, fix=fix))
        return found

    def _identity(self) -> list[Finding]:
        told, real = self._dataset.info.split.get("sha256"), split_sha256(self._dataset.rows)
        if told == real:
            return [Finding(level=Level.OK, check="split.sha256", text=f"split sha256 {real[:12]}… as in dataset.json")]
        text = f"split sha256 in dataset.json is {str(told)[:12]}…, that of tiles.csv {real[:12]}…: the split was changed by hand"
        fix = "Restore tiles.csv, or make the dataset again; scores on another split cannot be compared."
        return [
            Finding(level=Level.FAIL, check="split.sha256", text=text, fix=fix, numbers={"stored": told, "found": real})
        ]

    def _leaks(self) -> list[Finding]:
        size_m = self._dataset.info.tile_size * self._dataset.info.pixel_size
        overlaps, touches = [], []
        for pair in neighbours_across_splits(self._dataset.rows, size_m):
            a, b = pair.first, pair.second
            text = f"{a.tile} ({a.split}) and {b.tile} ({b.split})"
            if pair.shared_m2 > self._dataset.info.pixel_size**2:
                overlaps.append(f"{text} share {pair.shared_m2 / size_m**2:.1%}")
            elif a.scene == b.scene and pair.gap_m < self._dataset.info.pixel_size:
                touches.append(text)
        found = []
        if overlaps:
            text = f"{len(overlaps)} pairs of tiles of different splits overlap on the ground: scores will be too good to be true"
            fix = "Make the dataset again with --split-mode scene or block."
            found.append(Finding(level=Level.FAIL, check="split.overlap", text=text, fix=fix, places=overlaps))
        if touches:
            text = f"{len(touches)} pairs of tiles of different splits touch within a scene; neighbours resemble each other"
            fix = "Split by whole scenes, or by blocks with a gap."
            found.append(Finding(level=Level.WARNING, check="split.touch", text=text, fix=fix, places=touches))
        if not found:
            text = "no tiles of different splits overlap on the ground, or touch within a scene"
            found.append(Finding(level=Level.OK, check="split.overlap", text=text))
        return found

    def _copies(self) -> list[Finding]:
        places = []
        for (folder, _), rows in sorted(self._same_pixels.items()):
            if len({r.split for r in rows}) > 1:
                places.append(f"{folder} of " + ", ".join(f"{r.tile} ({r.split})" for r in rows))
        if not places:
            return []
        text = f"{len(places)} images lie, pixel by pixel the same, in more than one split"
        fix = "Remove the copies, and make the dataset again."
        return [Finding(level=Level.FAIL, check="split.copies", text=text, fix=fix, places=sorted(places))]

    def _synthetic(self) -> list[Finding]:
        rows = {r.tile: r for r in self._dataset.rows}
        leaked = [
            f"{r.tile} (parent {r.parent or 'unknown'} of {r.parent_split or 'unknown split'})"
            for r in rows.values()
            if r.synthetic and r.split == "train" and r.parent_split != "train"
        ]
        moved = [
            f"{r.tile} (says {r.parent_split}; {r.parent} is in {rows[r.parent].split})"
            for r in rows.values()
            if r.synthetic and r.parent in rows and r.parent != r.tile and rows[r.parent].split != r.parent_split
        ]
        found = []
        if leaked:
            text = f"{len(leaked)} synthetic tiles in train were not made from train tiles"
            fix = "Generate from --split train only."
            found.append(Finding(level=Level.FAIL, check="split.synthetic", text=text, fix=fix, places=leaked))
        if moved:
            text = f"{len(moved)} synthetic tiles name another split than their parent has"
            fix = "Generate them again from this dataset."
            found.append(Finding(level=Level.FAIL, check="split.parent", text=text, fix=fix, places=moved))
        return found

    def _compare_statistics(self) -> list[Finding]:
        if self._is_synthetic:
            parent = parent_of(self._dataset).get("name", "an unknown dataset")
            text = f"statistics in dataset.json are those of {parent}, from which the images were made"
            return [Finding(level=Level.NOTE, check="statistics", text=text)]
        if self._unreadable_train:
            text = "statistics of train were not compared: some of its files cannot be used (see above)"
            return [Finding(level=Level.NOTE, check="statistics", text=text)]
        told, real = self._dataset.info.statistics, combine_statistics(self._statistics)
        # Whole numbers with a scale round what the statistics were perhaps taken from.
        steps = {f: 1e-4 if str(e.get("dtype")) == "uint16" else 0.0 for f, e in self._dataset.info.sources.items()}
        wrong = [
            text
            for f in sorted({*told, *real})
            for text in _differences(f, told.get(f) or {}, real.get(f) or {}, steps.get(f, 0.0))
        ]
        if not wrong:
            text = "statistics in dataset.json are those of the train tiles"
            return [Finding(level=Level.OK, check="statistics", text=text)]
        text = "statistics in dataset.json are not those of the train tiles"
        fix = "The tiles or the split were changed after the dataset was made; make it again."
        return [Finding(level=Level.FAIL, check="statistics", text=text, fix=fix, places=wrong)]


def _differences(folder: str, told: dict[str, Any], real: dict[str, Any], step: float) -> list[str]:
    """Which statistics of a source differ, with both values."""
    wrong = []
    for key in sorted({*told, *real}):
        x, y = told.get(key), real.get(key)
        if isinstance(x, dict) and isinstance(y, dict):
            tolerance = _STATISTICS_TOLERANCE * max(abs(float(y["std"])), 1e-6) + step
            for name in ("count", "mean", "std", "min", "max"):
                allowed = 0.5 if name == "count" else tolerance
                if not abs(float(x.get(name, np.nan)) - y[name]) <= allowed:
                    wrong.append(f"{folder} {key} {name} ({x.get(name)} there, {y[name]} found)")
        elif x != y:
            wrong.append(f"{folder} {key} ({_brief(x)} there, {_brief(y)} found)")
    return wrong


def parent_of(dataset: DatasetFolder) -> dict[str, Any]:
    """Name and split of the dataset that a synthetic one was made from; empty where it does not say."""
    made_by: Any = dataset.info.made_by
    found = made_by.get("parent") if isinstance(made_by, dict) else None
    return found if isinstance(found, dict) else {}


def _lent(dataset: DatasetFolder) -> str:
    """Whose residuals lie over the images of a synthetic dataset; empty where none do."""
    made_by: Any = dataset.info.made_by
    arguments = made_by.get("arguments") if isinstance(made_by, dict) else None
    donors = arguments.get("donors") if isinstance(arguments, dict) else None
    return f", with residuals of {len(donors)} real training tiles" if isinstance(donors, list) and donors else ""


def _brief(value: object) -> str:
    return "nothing" if value is None else "an entry" if isinstance(value, dict) else str(value)


def date_section(dataset: DatasetFolder) -> Section:
    """How far apart in time radar and optics were taken."""
    gaps, unreadable = {}, []
    for row in dataset.rows:
        if row.s1_date and row.s2_date:
            try:
                gaps[row.tile] = abs((date.fromisoformat(row.s1_date[:10]) - date.fromisoformat(row.s2_date[:10])).days)
            except ValueError:
                unreadable.append(f"{row.tile} ({row.s1_date}, {row.s2_date})")
    findings = []
    if unreadable:
        text = f"{len(unreadable)} tiles have dates that are none"
        fix = "Write dates as 2023-06-30."
        findings.append(Finding(level=Level.FAIL, check="dates.unreadable", text=text, fix=fix, places=unreadable))
    if not gaps:
        text = "dates of radar and optics are not known; the gap between them cannot be told"
        return Section(title="Dates", findings=[*findings, Finding(level=Level.NOTE, check="dates.gap", text=text)])
    median, largest = float(np.median(list(gaps.values()))), max(gaps.values())
    level = (
        Level.WARNING if largest > _GAP_WARNING_DAYS else Level.NOTE if largest > _GAP_NOTE_DAYS else Level.OK
    )  # fmt: skip
    text = f"days between radar and optics: median {median:g}, at most {largest} ({len(gaps)} of {len(dataset.rows)} tiles dated)"
    places = [f"{tile} ({days} days)" for tile, days in gaps.items() if days > _GAP_NOTE_DAYS]
    fix = "Pair images of nearer dates: fields and water change within weeks." if level is Level.WARNING else ""
    numbers = {"median_days": median, "max_days": largest, "dated_tiles": len(gaps)}
    findings.append(Finding(level=level, check="dates.gap", text=text, fix=fix, places=places, numbers=numbers))
    return Section(title="Dates", findings=findings)
