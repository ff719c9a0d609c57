"""Leak-proof splits: whole scenes, or blocks of one scene with a gap of at least a tile between them.

Scenes that overlap on the ground (two dates of one place, neighbouring products) count as one, whatever
they are called: a split by name alone would leak.
"""

import itertools
import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from rasterio.warp import transform_bounds

from rsspade.data.manifest import SPLITS, TileRow
from rsspade.errors import InputError, RSSpadeWarning, explain

__all__ = ["MODES", "assign_splits", "group_scenes", "parse_ratio", "tile_bounds"]

MODES = ("scene", "block", "random")
_MOST_CUTS = 200  # places at which a block may end: all pairs of them are tried
Bounds = tuple[float, float, float, float]


def parse_ratio(text: str) -> tuple[float, float, float]:
    """Read `7:2:1` (train:val:test)."""
    try:
        parts = tuple(float(p) for p in text.split(":"))
    except ValueError:
        parts = ()
    if len(parts) != 3 or not all(0 <= p < np.inf for p in parts) or sum(parts) <= 0:
        raise InputError(
            explain(
                "--split",
                expected="train:val:test as three numbers, such as 7:2:1",
                found=repr(text),
                fix="Correct the ratio.",
            )
        )
    total = sum(parts)
    return parts[0] / total, parts[1] / total, parts[2] / total


def tile_bounds(row: TileRow, size_m: float) -> Bounds:
    """West, south, east, north of a tile in its own CRS."""
    return row.x_min, row.y_max - size_m, row.x_min + size_m, row.y_max


def overlap(a: Bounds, b: Bounds, tolerance: float = 1e-6) -> bool:
    """Whether two boxes share area (touching is not sharing)."""
    return a[0] < b[2] - tolerance and b[0] < a[2] - tolerance and a[1] < b[3] - tolerance and b[1] < a[3] - tolerance


def group_scenes(rows: Sequence[TileRow], size_m: float) -> list[list[str]]:
    """Scenes grouped by overlap on the ground; groups and members sorted by name."""
    boxes = {}
    by_scene: dict[str, list[TileRow]] = defaultdict(list)
    for row in rows:
        by_scene[row.scene].append(row)
    for scene, tiles in by_scene.items():
        bounds = np.array([tile_bounds(t, size_m) for t in tiles])
        outline = (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0))
        west, south, east, north = transform_bounds(tiles[0].crs, "EPSG:4326", *outline)
        boxes[scene] = (west, south, east + 360 if east < west else east, north)  # across the antimeridian
    parent = {scene: scene for scene in boxes}

    def root(scene: str) -> str:
        while parent[scene] != scene:
            scene = parent[scene]
        return scene

    # Each box a second time, one turn further east: the neighbour of +179.9° may call its place -179.9°.
    turned = [(scene, (b[0] + turn, b[1], b[2] + turn, b[3])) for scene, b in boxes.items() for turn in (0.0, 360.0)]
    ordered = sorted(turned, key=lambda item: item[1][0])
    for i, (a, a_box) in enumerate(ordered):
        for b, b_box in ordered[i + 1 :]:
            if b_box[0] >= a_box[2]:
                break  # sorted by their western edge: none further on can overlap
            if overlap(a_box, b_box, 1e-9):
                parent[root(b)] = root(a)
    groups = defaultdict(list)
    for scene in sorted(boxes):
        groups[root(scene)].append(scene)
    return sorted(groups.values())


def assign_splits(
    rows: Sequence[TileRow],
    *,
    size_m: float,
    ratio: tuple[float, float, float] = (0.7, 0.2, 0.1),
    mode: str = "scene",
    seed: int = 0,
) -> tuple[dict[str, str], str]:
    """Give each tile its split.

    Args:
        rows: The tiles; their `split` is not looked at.
        size_m: The side of a tile on the ground.
        ratio: Shares of train, val and test.
        mode: `scene` (blocks where there is a single scene), `block` or `random`.
        seed: Of the draw.

    Returns:
        Tile name -> split, without the tiles that fall into a gap; and the rule in words.
    """
    if mode not in MODES:
        raise InputError(
            explain(
                "--split-mode",
                expected=f"one of {', '.join(MODES)}",
                found=repr(mode),
                fix="Correct the mode.",
            )
        )
    generator = np.random.default_rng(seed)
    if max(ratio) == 1.0:
        only = SPLITS[ratio.index(1.0)]
        return {r.tile: only for r in rows}, f"all {only}"
    if mode == "random":
        warnings.warn(
            "--split-mode random puts neighbouring tiles into different splits: scores on such a split are too good to be true.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip
        names = sorted(r.tile for r in rows)
        counts = _largest_remainder(len(names), ratio)
        labels = [s for s, n in zip(SPLITS, counts, strict=True) for _ in range(n)]
        order = generator.permutation(len(names)).tolist()
        return {names[i]: label for i, label in zip(order, labels, strict=True)}, "random tiles (leaks)"
    groups = group_scenes(rows, size_m)
    if mode == "scene" and len(groups) > 1:
        counts = _largest_remainder(len(groups), ratio)
        labels = [s for s, n in zip(SPLITS, counts, strict=True) for _ in range(n)]
        split_of = {
            scene: label
            for i, label in zip(generator.permutation(len(groups)).tolist(), labels, strict=True)
            for scene in groups[i]
        }
        empty = [s for s, n, share in zip(SPLITS, counts, ratio, strict=True) if n == 0 and share > 0]
        if empty:
            warnings.warn(
                f"{len(groups)} separate scenes do not fill three splits: {' and '.join(empty)} stays empty. "
                "Add scenes, or prepare with --split-mode block.",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip
        return {r.tile: split_of[r.scene] for r in rows}, "whole scenes; scenes that overlap on the ground count as one"
    split: dict[str, str] = {}
    for group in groups:
        members = [r for r in rows if r.scene in group]
        split |= _split_blocks(members, size_m, ratio, tuple(generator.permutation(3).tolist()))
    if set(split.values()) == {"train"}:
        return split, "all train: too few tiles for blocks with a gap between them"
    return split, "blocks of each scene, a gap of one tile between them"


def _largest_remainder(total: int, ratio: tuple[float, float, float]) -> list[int]:
    """Share out whole things; from three on, each wanted split gets one at least."""
    exact = [total * share for share in ratio]
    counts = [int(e + 1e-9) for e in exact]
    # Ties go to the split that has nothing yet, so that two scenes become train and val.
    by_need = sorted(range(3), key=lambda i: (-(round(exact[i] - counts[i], 9)), counts[i] > 0, i))
    for i in itertools.islice(itertools.cycle(by_need), total - sum(counts)):
        counts[i] += 1
    wanted = [i for i in range(3) if ratio[i] > 0]
    if total >= len(wanted):
        for i in wanted:
            if counts[i] == 0:
                counts[counts.index(max(counts))] -= 1
                counts[i] += 1
    return counts


def _split_blocks(
    rows: Sequence[TileRow], size_m: float, ratio: tuple[float, float, float], order: tuple[int, ...]
) -> dict[str, str]:
    """Cut one place into three strips along its better axis; tiles in the gaps get no split."""
    crs = rows[0].crs
    boxes = np.array(
        [
            tile_bounds(r, size_m) if r.crs == crs else transform_bounds(r.crs, crs, *tile_bounds(r, size_m))
            for r in rows
        ]
    )
    gap = float(max((boxes[:, 2] - boxes[:, 0]).max(), (boxes[:, 3] - boxes[:, 1]).max())) * (1 - 1e-9)
    shares = [ratio[i] for i in order]
    best: tuple[float, list[np.ndarray]] | None = None
    for axis in (0, 1):
        lo, hi = boxes[:, axis], boxes[:, axis + 2]
        found = _best_cuts(lo, hi, gap, shares)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        warnings.warn(
            f"scene {rows[0].scene}: {len(rows)} tiles are too few for three blocks with a gap of a tile between them; "
            "all of them become train. Add scenes, or make smaller tiles.",
            RSSpadeWarning, stacklevel=4,
        )  # fmt: skip
        return {r.tile: "train" for r in rows}
    return {
        rows[int(i)].tile: SPLITS[order[part]] for part, members in enumerate(best[1]) for i in np.flatnonzero(members)
    }


def _best_cuts(
    lo: np.ndarray, hi: np.ndarray, gap: float, shares: Sequence[float]
) -> tuple[float, list[np.ndarray]] | None:
    """The two cuts whose three parts come closest to the wanted shares of all tiles."""
    ends = np.unique(hi)
    if len(ends) > _MOST_CUTS:  # tiles of several UTM zones end everywhere
        ends = ends[np.linspace(0, len(ends) - 1, _MOST_CUTS).round().astype(int)]
    best: tuple[float, list[np.ndarray]] | None = None
    sorted_lo, sorted_hi = np.sort(lo), np.sort(hi)
    for first in ends:
        start = first + gap
        n0 = int(np.searchsorted(sorted_hi, first, side="right"))
        for second in ends[ends > start]:
            n2 = len(lo) - int(np.searchsorted(sorted_lo, second + gap, side="left"))
            if n2 == 0:
                break
            middle = (lo >= start) & (hi <= second)
            counts = np.array([n0, int(middle.sum()), n2])
            if (counts[np.array(shares) > 0] == 0).any():
                continue
            cost = float(np.abs(counts / len(lo) - np.array(shares)).sum())
            if best is None or cost < best[0] - 1e-12:
                best = cost, [hi <= first, middle, lo >= second + gap]
    return best
