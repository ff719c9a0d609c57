"""Do slope, aspect and hillshade belong to the elevation stored beside them?"""

import numpy as np

from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section
from rsspade.data.manifest import DatasetFolder
from rsspade.geo.terrain import terrain_derivatives

__all__ = ["TerrainCheck"]

# Band -> how far a pixel may be off. Heights are stored with 24 bits, the derivatives were computed with more.
_TOLERANCES = {"slope": 0.5, "aspect": 3.0, "hillshade": 2.0}
_UNITS = {"slope": "°", "aspect": "°", "hillshade": " grey levels"}
_STEEP = 2.0  # degrees; on flatter ground the aspect hangs on millimetres
_TOLERATED = 0.01


class TerrainCheck:
    """Recomputes the derivatives inside each tile, where no neighbour outside the tile counts."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._worst = dict.fromkeys(_TOLERANCES, 0.0)
        self._bad: dict[str, list[str]] = {band: [] for band in _TOLERANCES}
        self._tiles = 0

    def add(self, tile: TileView) -> None:
        """Take in one tile."""
        stored = tile.images.get("DEM")
        if stored is None:
            return
        inner = np.s_[:, 1:-1, 1:-1]
        expected = terrain_derivatives(stored[0], self._dataset.info.pixel_size)[inner]
        given = stored[inner]
        # A missing neighbour was perhaps known when the derivatives were made: leave its surroundings out.
        holes = ~np.isfinite(stored[0])
        near_hole = np.logical_or.reduce([np.roll(holes, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
        use = ~near_hole[1:-1, 1:-1] & np.isfinite(given).all(axis=0)
        if not use.any():
            return
        self._tiles += 1
        steep = use & (expected[1] > _STEEP)
        for index, (band, tolerance) in enumerate(_TOLERANCES.items(), start=1):
            where = steep if band == "aspect" else use
            off = np.abs(given[index] - expected[index])[where]
            if band == "aspect":
                off = np.minimum(off, 360 - off)
            if off.size and np.mean(off > tolerance) > _TOLERATED:
                self._bad[band].append(f"DEM/{tile.row.tile}.tif (median off by {np.median(off):.3g}{_UNITS[band]})")
            if off.size:
                self._worst[band] = max(self._worst[band], float(np.quantile(off, 1 - _TOLERATED)))

    def section(self) -> Section:
        """What was found."""
        findings = []
        for band, places in self._bad.items():
            if places:
                text = f"{band} does not belong to the elevation in {len(places)} of {self._tiles} tiles"
                fix = "Prepare again: derivatives are computed from metres on the 10 m grid (check units and the hillshade's sun)."
                findings.append(Finding(level=Level.FAIL, check=f"terrain.{band}", text=text, fix=fix, places=places))
        if not findings and self._tiles:
            text = "slope, aspect and hillshade follow from the elevation"
            findings.append(Finding(level=Level.OK, check="terrain", text=text, numbers=dict(self._worst)))
        return Section(title="Terrain", findings=findings)
