"""The tiles of a group of runs: which are shown and how, and the table of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsspade.data.manifest import DatasetFolder
from rsspade.models import RSSpade
from rsspade.report.answers import answer_tile
from rsspade.report.findings import Sentence
from rsspade.report.pictures import PagePicture, input_pictures, map_pictures, optical_pictures
from rsspade.report.scoring import RunScores
from rsspade.report.tables import MEASURES, Cell, Column, Row, Table, value_of

__all__ = ["ScoredRun", "Tile", "TileRun", "chosen_tiles", "draw_tile", "mean_psnr", "tile_table"]

_SUFFIX = {"psnr": " dB", "sam_deg": "°"}
_MOST_TILES = 1000
"""Lines of the table of tiles; beyond, the worst are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRun:
    """A run with its model and its scores; `key` is its own, `series` its colour, which runs may share."""

    key: str
    name: str
    series: str
    model: RSSpade
    scores: RunScores


@dataclass(frozen=True, kw_only=True, slots=True)
class TileRun:
    """What one run makes of a tile."""

    key: str
    name: str
    series: str
    pictures: list[PagePicture]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A tile that is shown; `left` and `right` are the sides of its slider, `views` what may stand there."""

    id: str
    rank: str
    name: str
    scene: str
    scores: Sentence
    real: list[PagePicture]
    runs: list[TileRun]
    inputs: list[PagePicture]
    left: str = "real"
    right: str = "synthetic"
    view_title: str = "Colours"
    views: tuple[tuple[str, str], ...] = (("true", "true"), ("false", "false"))


def mean_psnr(runs: Sequence[ScoredRun]) -> dict[str, float]:
    """Tile -> PSNR, mean over the runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for row in run.scores.per_tile:
            if row["psnr"] is not None:
                found.setdefault(row["tile"], []).append(row["psnr"])
    return {tile: sum(values) / len(values) for tile, values in found.items()}


def chosen_tiles(means: Mapping[str, float]) -> list[tuple[str, str]]:
    """The best, the median and the worst tile, as (rank, tile); fewer where there are fewer tiles."""
    ordered = sorted(means, key=lambda tile: (-means[tile], tile))
    if len(ordered) < 2:
        return [("Only tile", tile) for tile in ordered]
    middle = [("Median", ordered[len(ordered) // 2])] if len(ordered) > 2 else []
    return [("Best", ordered[0]), *middle, ("Worst", ordered[-1])]


def draw_tile(dataset: DatasetFolder, runs: Sequence[ScoredRun], own_id: str, rank: str, name: str) -> Tile:
    """A tile as the page shows it, under every run."""
    row = next(r for r in dataset.rows if r.tile == name)
    real: list[PagePicture] = []
    shown, words = [], []
    for run in runs:
        answer = answer_tile(run.model, dataset, row)
        real = real or optical_pictures(answer.truth, answer.bands, what="real", role="real", tile=name)
        made = optical_pictures(answer.image, answer.bands, what=f"synthetic by {run.name}", role=run.key, tile=name)
        shown.append(
            TileRun(
                key=run.key,
                name=run.name,
                series=run.series,
                pictures=[*made, *map_pictures(answer, run=run.name, tile=name)],
            )
        )
        scores: Mapping[str, Any] = next((r for r in run.scores.per_tile if r["tile"] == name), {})
        told = ", ".join(
            f"{MEASURES[m].title} {MEASURES[m].text(value_of(scores, m))}{_SUFFIX.get(m, '')}"
            for m in ("psnr", "ssim", "sam_deg")
        )
        words += [
            (f"{run.name}: " if len(runs) > 1 else "", True),
            (told + ("  ·  " if run is not runs[-1] else ""), False),
        ]
    return Tile(
        id=own_id, rank=rank, name=name, scene=f"scene {row.scene}" + (f", {row.s2_date}" if row.s2_date else ""), scores=words,
        real=real, runs=shown, inputs=input_pictures(dataset, row),
    )  # fmt: skip


def tile_table(
    dataset: DatasetFolder, runs: Sequence[ScoredRun], means: Mapping[str, float], links: Mapping[str, str], split: str
) -> Table:
    """The scores of every tile, worst first; `links` leads to the pictures of those that are shown."""
    scenes = {row.tile: row.scene for row in dataset.rows}
    by_run = {run.key: {row["tile"]: row for row in run.scores.per_tile} for run in runs}
    rows = []
    for tile in sorted(means, key=lambda name: (means[name], name))[:_MOST_TILES]:
        cells = [Cell(scenes.get(tile, ""), scenes.get(tile, ""), is_number=False)]
        for measure in ("psnr", "ssim", "sam_deg"):
            for run in runs:
                value = value_of(by_run[run.key].get(tile), measure)
                cells.append(Cell(MEASURES[measure].text(value), "" if value is None else value))
        rows.append(Row(name=tile, cells=tuple(cells), link=links.get(tile, "")))
    columns = [Column("Scene", is_number=False), *(Column(r.name, r.series) for _ in range(3) for r in runs)]
    groups = [("", "", 1), *((MEASURES[m].title, MEASURES[m].unit, len(runs)) for m in ("psnr", "ssim", "sam_deg"))]
    note = "worst first" + (f", the worst {_MOST_TILES} of {len(means)}" if len(means) > _MOST_TILES else "")
    return Table(
        caption=f"Tiles of the {split} split",
        corner="Tile",
        columns=tuple(columns),
        rows=tuple(rows),
        groups=tuple(groups),
        note=note,
    )
