"""Segmentation runs: their scores and confusion matrix, and the maps they drew, read from files in the run folder.

Read and not computed: this package knows nothing of the networks. `python -m segmentation.evaluate --run RUN --data DATASET
--json RUN/scores.json --maps RUN/maps` leaves both files there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsspade.data.geotiff import read_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError, explain
from rsspade.landcover import SCHEMES, Scheme
from rsspade.report import colours
from rsspade.report.findings import Sentence, plain
from rsspade.report.pictures import PagePicture, map_picture, optical_pictures
from rsspade.report.tables import Answered, Table, overall_table, score_table
from rsspade.report.tiles import Tile, TileRun, chosen_tiles
from rsspade.sources import UNLABELLED

__all__ = ["Confusion", "MapGroup", "MapRun", "build_map_group", "read_map_scores", "same_tiles"]

_OVERALL = ("miou", "accuracy", "kappa", "mpa", "fwiou")
_PER_CLASS = ("iou", "pa", "ua")
_MAX_BYTES = 16 * 1024 * 1024
_SHADES = 9
_FIX = "Write it again with `python -m segmentation.evaluate --json`."


@dataclass(frozen=True, kw_only=True, slots=True)
class MapRun:
    """A segmentation run with the content of its `scores.json`, and the folder of its maps."""

    key: str
    name: str
    series: str
    scores: dict[str, Any]
    maps: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A confusion matrix: class names, and per row (truth) the share of it in each column and how dark it is shown."""

    name: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


@dataclass(kw_only=True, slots=True)
class MapGroup:
    """What the template draws of segmentation runs that were scored on one dataset and split."""

    id: str
    heading: str
    lead: list[Sentence]
    tables: list[Table]
    confusions: list[Confusion]
    tiles: list[Tile] = field(default_factory=list)
    classes: list[tuple[str, str]] = field(default_factory=list)


def read_map_scores(path: Path) -> dict[str, Any] | None:
    """The content of `scores.json`; None where there is none; refuses one that `segmentation.evaluate` did not write."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")  # noqa: TRY301 (one handler for all that is wrong with the file)
        content = json.loads(path.read_text(encoding="utf-8"))
        size = len(content["classes"])
        matrix = np.array(content["confusion"], np.float64)
        if matrix.shape != (size, size) or not size or not (np.isfinite(matrix).all() and (matrix >= 0).all()):
            raise ValueError(f"a matrix {matrix.shape} of {size} classes")  # noqa: TRY301
        numbers = [content[name] for name in _OVERALL]
        numbers += [content["per_class"][name][score] for name in content["classes"] for score in _PER_CLASS]
        if not all(value is None or isinstance(value, int | float) for value in numbers):
            raise TypeError("scores that are no numbers")  # noqa: TRY301
        _ = [int(content["per_class"][name]["pixels"]) for name in content["classes"]], int(content["tiles"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        found = f"{type(err).__name__}: {' '.join(str(err).split())[:80]}"
        raise InputError(explain(path, expected="the scores of a segmentation run", found=found, fix=_FIX)) from err
    return dict(content)


def build_map_group(number: int, runs: Sequence[MapRun], dataset: DatasetFolder | None) -> MapGroup:
    """Everything about segmentation runs on one dataset; maps only where the dataset is there to compare them with."""
    first = runs[0].scores
    answers = [Answered(run.key, run.name, run.series, True) for run in runs]
    scheme = SCHEMES.get(str(first.get("landcover_scheme")))
    tint = {c.name: c.colour for c in scheme.classes} if scheme else {}
    names = [str(name) for name in first["classes"]]
    lines = [
        (plain(name), tint.get(name, ""), {r.key: r.scores["per_class"].get(name) for r in runs}) for name in names
    ]
    pixels = [int(first["per_class"][name]["pixels"]) for name in names]
    tables = [
        overall_table("All classes", answers, {r.key: r.scores for r in runs}, measures=_OVERALL),
        score_table("Per class", "Class", answers, lines, measures=_PER_CLASS, count=("Pixels", pixels)),
    ]
    return MapGroup(
        id=f"m{number}", heading=f"Land-cover maps on {first.get('dataset', 'an unknown dataset')}, {first.get('split', 'unknown')} split",
        lead=[_lead(run) for run in runs], tables=tables, confusions=[_confusion(run) for run in runs],
        tiles=_tiles(f"m{number}", runs, dataset, scheme) if dataset is not None and scheme is not None else [],
        classes=[(plain(c.name), c.colour) for c in scheme.classes] if scheme else [],
    )  # fmt: skip


def _lead(run: MapRun) -> Sentence:
    miou, accuracy = run.scores["miou"], run.scores["accuracy"]
    if miou is None or accuracy is None:
        return [(f"{run.name}: no pixel is labelled.", False)]
    known = {n: s["iou"] for n, s in run.scores["per_class"].items() if s["iou"] is not None and s["pixels"]}
    words: Sentence = [
        (f"{run.name} reaches ", False), (f"mIoU {miou:.3f}", True),
        (f" and labels {accuracy:.1%} of the pixels of {run.scores['tiles']} tiles right", False),
    ]  # fmt: skip
    if known:
        worst = min(known, key=lambda name: known[name])
        words += [("; weakest class ", False), (plain(worst), True), (f" with IoU {known[worst]:.3f}", False)]
    return [*words, (".", False)]


def _confusion(run: MapRun) -> Confusion:
    matrix = np.array(run.scores["confusion"], np.float64)
    names = [plain(str(name)) for name in run.scores["classes"]]
    seen = [n for n in range(len(names)) if matrix[n].sum() + matrix[:, n].sum() > 0]
    rows = []
    for n in seen:
        total = matrix[n].sum()
        shares = [matrix[n, m] / total if total else 0.0 for m in seen]
        cells = tuple((_percent(s) if total else "–", min(int(np.ceil(s * _SHADES)), _SHADES)) for s in shares)
        rows.append((names[n], cells))
    return Confusion(name=run.name, classes=tuple(names[n] for n in seen), rows=tuple(rows))


def _percent(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"


def _tiles(group: str, runs: Sequence[MapRun], dataset: DatasetFolder, scheme: Scheme) -> list[Tile]:
    """The best, the median and the worst tile of those that every run has a map of."""
    shares: dict[str, float] = {}
    for row in dataset.in_split(str(runs[0].scores.get("split"))):
        if dataset.has("lulc", row.tile) and all((run.maps / f"{row.tile}.tif").is_file() for run in runs):
            right = [_right(dataset.read("lulc", row.tile)[0], _read_map(run, row.tile, dataset)) for run in runs]
            if all(np.isfinite(own).any() for own in right):
                shares[row.tile] = float(np.mean([np.nanmean(own) for own in right]))
    return [
        _tile(f"{group}-t{n}", rank, name, runs, dataset, scheme) for n, (rank, name) in enumerate(chosen_tiles(shares))
    ]


def _read_map(run: MapRun, tile: str, dataset: DatasetFolder) -> np.ndarray:
    path = run.maps / f"{tile}.tif"
    found, labels = read_tile(path)[0], dataset.read("lulc", tile)[0]
    if found.shape != labels.shape:
        raise InputError(
            explain(path, expected=f"a map of {labels.shape} pixels, as the labels are", found=f"{found.shape}",
                    fix="Name the dataset on which the maps were drawn with --data.")
        )  # fmt: skip
    return np.asarray(found)


def _right(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """1 where the map is right, 0 where it is wrong, NaN where there is no label or, for want of an image, no map."""
    unknown = (labels == UNLABELLED) | (found == UNLABELLED)
    return np.where(unknown, np.nan, (labels == found).astype(np.float64))


def _tile(own_id: str, rank: str, name: str, runs: Sequence[MapRun], dataset: DatasetFolder, scheme: Scheme) -> Tile:
    row = next(r for r in dataset.rows if r.tile == name)
    labels = dataset.read("lulc", name)[0]
    image = dataset.read("s2", name) if dataset.has("s2", name) else None
    shown: list[TileRun] = []
    words: Sentence = []
    for run in runs:
        found = _read_map(run, name, dataset)
        right = _right(labels, found)
        share = float(np.nanmean(right))
        pictures: list[PagePicture] = [
            map_picture("Map", colours.landcover_colours(found, scheme), f"Land cover of tile {name} as mapped by {run.name}", role=f"{run.key}-true"),
            map_picture("Right and wrong", colours.right_colours(right), f"Where {run.name} is wrong in tile {name}: {1 - share:.1%} of the labelled pixels"),
        ]  # fmt: skip
        shown.append(TileRun(key=run.key, name=run.name, series=run.series, pictures=pictures))
        words += [(f"{run.name}: " if len(runs) > 1 else "", True), (f"{share:.1%} right", False), ("  ·  " if run is not runs[-1] else "", False)]  # fmt: skip
    real = optical_pictures(image, dataset.optical_bands, what="real", role="real", tile=name)[:1]
    real.append(
        map_picture("Labels", colours.landcover_colours(labels, scheme), f"Labels of tile {name}", role="real-false")
    )
    return Tile(
        id=own_id, rank=rank, name=name, scene=f"scene {row.scene}", scores=words, real=real, runs=shown, inputs=[],
        left="real", right="map", view_title="Left", views=(("true", "image"), ("false", "labels")),
    )  # fmt: skip


def same_tiles(runs: Sequence[MapRun]) -> Mapping[tuple[str, ...], list[MapRun]]:
    """The runs by dataset and split: only scores on the same tiles stand in one table."""
    groups: dict[tuple[str, ...], list[MapRun]] = {}
    for run in runs:
        key = (*(str(run.scores.get(name)) for name in ("dataset", "split", "split_sha256")), *run.scores["classes"])
        groups.setdefault(key, []).append(run)
    return groups
