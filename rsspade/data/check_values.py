"""Can the values be what they claim to be: ranges, units, constant bands.

Gathers a bounded, evenly spread sample of every band for the quantiles; minima, maxima and shares outside the
possible range are counted over all pixels.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section, listed
from rsspade.data.manifest import DatasetFolder
from rsspade.data.unit_hints import optical_hints, radar_hints, terrain_hints
from rsspade.sources import OPTICAL, Source

__all__ = ["ValueCheck"]

_SAMPLE = 1_000_000  # values per band
_TOLERATED = 1e-3  # share of pixels outside the possible range: a few glints are no unit error


@dataclass(slots=True)
class _Band:
    count: int = 0
    outside: int = 0
    lowest: float = np.inf
    highest: float = -np.inf
    sample: list[np.ndarray] = field(default_factory=list)
    outside_in: list[str] = field(default_factory=list)
    constant_in: list[str] = field(default_factory=list)

    def quantiles(self) -> tuple[float, float, float]:
        """The 1 %, 50 % and 99 % quantiles of the sample."""
        low, middle, high = np.quantile(np.concatenate(self.sample), [0.01, 0.5, 0.99])
        return float(low), float(middle), float(high)


class ValueCheck:
    """Ranges and units of the continuous sources."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._sources = [dataset.source(f) for f in dataset.info.sources]
        self._sources = [s for s in self._sources if not s.is_categorical]
        self._bands: dict[tuple[str, str], _Band] = defaultdict(_Band)
        self._per_tile = int(np.clip(_SAMPLE // max(len(dataset.rows), 1), 16, 4096))
        self._zero: dict[str, list[str]] = defaultdict(list)
        # Scene -> folder -> per tile the 1 % and 50 % quantiles of each band, for hints on single scenes.
        self._scenes: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))

    def add(self, tile: TileView) -> None:
        """Take in one tile."""
        for source in self._sources:
            image = tile.images.get(source.folder)
            if image is not None:
                self._add_image(tile, source, image)

    def _add_image(self, tile: TileView, source: Source, image: np.ndarray) -> None:
        name = f"{source.folder}/{tile.row.tile}.tif"
        quantiles = np.full((len(source.bands), 2), np.nan)
        for index, (band, plane) in enumerate(zip(source.bands, image, strict=True)):
            values = plane[np.isfinite(plane)]
            if not values.size:
                continue
            seen = self._bands[source.folder, band.name]
            outside = int(np.count_nonzero((values < band.lowest) | (values > band.highest)))
            seen.count += values.size
            seen.outside += outside
            if outside:
                seen.outside_in.append(name)
            low, high = float(values.min()), float(values.max())
            seen.lowest, seen.highest = min(seen.lowest, low), max(seen.highest, high)
            if low == high:
                seen.constant_in.append(name)
            seen.sample.append(values[:: -(-values.size // self._per_tile)].astype(np.float32))
            quantiles[index] = np.quantile(seen.sample[-1], [0.01, 0.5])
        self._scenes[tile.row.scene][source.folder].append(quantiles)
        if source.name in (*OPTICAL, "s1") and np.mean((image == 0).all(axis=0)) > 0.01:
            self._zero[source.folder].append(name)

    def section(self) -> Section:
        """What was found."""
        findings: list[Finding] = []
        for source in self._sources:
            bands = [b for b in source.bands if (source.folder, b.name) in self._bands]
            if not bands:
                continue
            findings += [self._range(source, b.name, b.lowest, b.highest) for b in bands]
            findings += self._constant(source)
            findings += self._hints(source)
        return Section(title="Values and units", findings=findings)

    def _range(self, source: Source, name: str, lowest: float, highest: float) -> Finding:
        band = self._bands[source.folder, name]
        p01, p50, p99 = band.quantiles()
        share = band.outside / band.count
        voids = source.name == "dem" and name == "elevation" and band.lowest <= -9999
        level = Level.OK if not band.outside else Level.FAIL if share > _TOLERATED or voids else Level.WARNING
        unit = "" if source.name == "dem" else f" {source.unit}"
        text = (
            f"{source.folder} {name}: {band.lowest:.4g} … {band.highest:.4g}{unit} "
            f"(1 % {p01:.4g}, median {p50:.4g}, 99 % {p99:.4g})"
        )
        fix = ""
        if band.outside:
            text += f"; {share:.2%} of the pixels lie outside {lowest:g} … {highest:g}, where no such value can lie"
            fix = (
                "Void heights are stored as numbers: declare them as nodata."
                if voids
                else "Check the unit of the input."
            )
        numbers = {
            "min": band.lowest, "p01": p01, "median": p50, "p99": p99, "max": band.highest, "outside_share": share,
        }  # fmt: skip
        return Finding(
            level=level,
            check=f"range.{source.folder}.{name}",
            text=text,
            fix=fix,
            places=band.outside_in,
            numbers=numbers,
        )

    def _constant(self, source: Source) -> list[Finding]:
        found = []
        if self._zero[source.folder]:
            places = self._zero[source.folder]
            text = f"{source.folder}: {len(places)} tiles have more than 1 % of pixels that are 0 in every band: undeclared nodata?"
            fix = "Declare 0 as nodata in the input (gdal_edit.py -a_nodata 0) and prepare again."
            found.append(Finding(level=Level.FAIL, check=f"zero.{source.folder}", text=text, fix=fix, places=places))
        if source.name == "dem":
            return found  # the sea is flat
        places = sorted({p for b in source.band_names for p in self._bands[source.folder, b].constant_in})
        if places:
            text = f"{source.folder}: {len(places)} tiles hold a band with one single value throughout"
            fix = "Look at them with `rsspade show`; remove them if the input is empty there."
            found.append(
                Finding(level=Level.WARNING, check=f"constant.{source.folder}", text=text, fix=fix, places=places)
            )
        return found

    def _hints(self, source: Source) -> list[Finding]:
        """What the quantiles of single scenes suggest about a wrong unit."""
        tell = {"s1": radar_hints, "dem": terrain_hints}.get(source.name)
        if source.name in OPTICAL:
            tell = optical_hints
        if tell is None:
            return []
        by_hint: dict[str, list[str]] = defaultdict(list)
        hints = {}
        for scene, folders in sorted(self._scenes.items()):
            if source.folder in folders:
                tiles = np.stack(folders[source.folder])
                if np.isfinite(tiles).all(axis=(1, 2)).any():
                    for hint in tell(tiles[np.isfinite(tiles).all(axis=(1, 2))], source.band_names):
                        hints[hint.check] = hint
                        by_hint[hint.check].append(scene)
        return [
            Finding(level=hint.level, check=f"{check}.{source.folder}", fix=hint.fix, places=by_hint[check],
                    text=f"{source.folder}: {hint.text} ({_scenes(by_hint[check])})")
            for check, hint in hints.items()
        ]  # fmt: skip


def _scenes(names: list[str]) -> str:
    return f"{len(names)} scene{'' if len(names) == 1 else 's'}: {listed(names)}"
