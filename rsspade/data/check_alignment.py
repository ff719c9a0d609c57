"""Do radar and optics lie on one another? One estimate per scene, pooled over bands and tiles."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from rsspade.data.alignment import SEARCH_PX, Shift, agreement, estimate_shift, optical_layers, radar_layers
from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section, listed
from rsspade.data.manifest import DatasetFolder, TileRow

__all__ = ["AlignmentCheck"]

_LIMIT_PX = 3.5  # real, well-registered tiles were found up to 2.7 px apart
_TILES_PER_SCENE = 32  # more would only take longer: a few tiles decide


class AlignmentCheck:
    """Sums the agreement between radar and optics over the tiles of each scene."""

    def __init__(self, dataset: DatasetFolder) -> None:
        self._dataset = dataset
        self._chosen = _spread_choice(dataset)
        self._surfaces: dict[str, np.ndarray] = {}
        self._tiles: Counter[str] = Counter()

    def add(self, tile: TileView) -> None:
        """Take in one tile."""
        radar, optical = tile.images.get("S1"), tile.images.get("S2")
        radar_valid, optical_valid = tile.valid(self._dataset, "S1"), tile.valid(self._dataset, "S2")
        if tile.row.tile not in self._chosen or radar is None or optical is None:
            return
        if radar_valid is None or optical_valid is None or not radar_valid.any() or not optical_valid.any():
            return
        names = self._dataset.optical_bands
        surface = agreement(
            radar_layers(radar, radar_valid), optical_layers(optical, names, optical_valid), radar_valid, optical_valid
        )
        if surface is None:
            return
        scene = tile.row.scene
        self._surfaces[scene] = self._surfaces.get(scene, np.zeros_like(surface)) + surface
        self._tiles[scene] += 1

    def section(self) -> Section:
        """What was found."""
        title = "Alignment of radar and optics"
        if not self._surfaces:
            text = f"cannot tell: no tile holds both radar and optics with enough valid pixels (and {3 * SEARCH_PX} px a side)"
            return Section(title=title, findings=[Finding(level=Level.NOTE, check="alignment", text=text)])
        shifts = {scene: estimate_shift(surface) for scene, surface in sorted(self._surfaces.items())}
        far = {s: e for s, e in shifts.items() if e.significant and e.distance > _LIMIT_PX}
        near = {s: e for s, e in shifts.items() if e.significant and s not in far}
        unclear = [s for s in shifts if s not in far and s not in near]
        numbers = {s: _numbers(e, self._tiles[s]) for s, e in shifts.items()}
        findings = [self._far(scene, shift) for scene, shift in far.items()]
        if near:
            text = f"{len(near)} of {len(shifts)} scenes: radar lies within {_LIMIT_PX:g} px of optics: {_worst(near)}"
            findings.append(Finding(level=Level.OK, check="alignment", text=text, places=list(near), numbers=numbers))
        if unclear:
            findings += self._together(unclear)
            text = (
                f"cannot tell for {len(unclear)} of {len(shifts)} scenes ({listed(unclear)}): "
                "radar and optics agree nowhere clearly better than elsewhere"
            )
            findings.append(
                Finding(level=Level.NOTE, check="alignment.unclear", text=text, places=unclear, numbers=numbers)
            )
        return Section(title=title, findings=findings)

    def _far(self, scene: str, shift: Shift) -> Finding:
        text = (
            f"scene {scene}: radar lies {shift.distance:.1f} px off the optics (it would have to move {_way(shift)}; "
            f"score {shift.score:.0f} over {self._tiles[scene]} tiles); the limit is {_LIMIT_PX:g} px"
        )
        fix = "Compare both in a GIS; check CRS, pixel origin and terrain correction of the input, and prepare again."
        return Finding(
            level=Level.FAIL,
            check="alignment.shift",
            text=text,
            fix=fix,
            places=[scene],
            numbers=_numbers(shift, self._tiles[scene]),
        )

    def _together(self, unclear: Sequence[str]) -> list[Finding]:
        """Scenes too small to tell one by one may share one shift, as when a grid was misread throughout."""
        if len(unclear) < 2:
            return []
        shift = estimate_shift(np.sum([self._surfaces[s] for s in unclear], axis=0))
        if not shift.significant:
            return []
        tiles = sum(self._tiles[s] for s in unclear)
        level = Level.FAIL if shift.distance > _LIMIT_PX else Level.OK
        text = f"the {len(unclear)} scenes that cannot be told one by one, taken together: {shift.distance:.1f} px ({_way(shift)}; score {shift.score:.0f})"
        fix = "Check CRS, pixel origin and terrain correction of the input, and prepare again." if level else ""
        return [
            Finding(
                level=level,
                check="alignment.together",
                text=text,
                fix=fix,
                places=list(unclear),
                numbers=_numbers(shift, tiles),
            )
        ]


def _spread_choice(dataset: DatasetFolder) -> set[str]:
    """At most so many tiles of each scene, spread evenly; clear ones with both sources."""
    by_scene: dict[str, list[TileRow]] = defaultdict(list)
    for row in dataset.rows:
        if {"S1", "S2"} <= dataset.info.sources.keys() and dataset.has("S1", row.tile) and dataset.has("S2", row.tile):
            by_scene[row.scene].append(row)
    chosen: set[str] = set()
    for rows in by_scene.values():
        count = min(len(rows), _TILES_PER_SCENE)
        picked = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
        chosen |= {rows[i].tile for i in picked}
    return chosen


def _numbers(shift: Shift, tiles: int) -> dict[str, float | bool]:
    return {
        "down_px": round(shift.down, 3), "right_px": round(shift.right, 3), "distance_px": round(shift.distance, 3),
        "score": round(shift.score, 2), "significant": shift.significant, "tiles": tiles,
    }  # fmt: skip


def _worst(shifts: dict[str, Shift]) -> str:
    scene, shift = max(shifts.items(), key=lambda item: item[1].distance)
    return f"at most {shift.distance:.1f} px ({scene})"


def _way(shift: Shift) -> str:
    down = f"{abs(shift.down):.1f} px {'south' if shift.down > 0 else 'north'}"
    return f"{down}, {abs(shift.right):.1f} px {'east' if shift.right > 0 else 'west'}"
