"""`RESULTS.md` of the real tiles: every tile, the spread over blocks and seeds, and the differences with their intervals."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cells.cell import Record
from experiments.cells.machine import origin
from experiments.cells.statistics import Difference, block_bootstrap, mean_and_spread
from experiments.cells.tables import difference, number, spread, table
from experiments.cells.tiles import tile_of
from experiments.real_tiles.plan import COMPARISONS

__all__ = ["Found", "compare", "gather", "write_report"]

MEASURES: Mapping[str, tuple[str, int]] = {"psnr": ("PSNR (dB)", 2), "ssim": ("SSIM", 4), "sam_rad": ("SAM (rad)", 4)}
"""Title and digits."""

Found = Mapping[str, Mapping[int, Mapping[str, Mapping[str, float | None]]]]
"""Arm -> seed -> block -> scores, of all folds of a design together."""

TITLES = {
    "leave_out": "Leave one tile out",
    "blocks": "Blocks within tiles",
}


def gather(records: Sequence[tuple[str, int, Record]], question: Mapping[str, str]) -> Found:
    """From the records of the folds: arm, seed, record; and world -> what its cells were asked."""
    found: dict[str, dict[int, dict[str, Mapping[str, float | None]]]] = {}
    for arm, seed, record in records:
        scores = record.scores[question[record.cell.world.name]]["by_tile"]
        found.setdefault(arm, {}).setdefault(seed, {}).update(scores)
    return found


def values(found: Found, arm: str, measure: str) -> tuple[list[str], np.ndarray]:
    """The blocks, and the measure of each: (seeds, blocks), NaN where it is undefined."""
    seeds = found[arm]
    blocks = sorted(next(iter(seeds.values())))
    rows = [[math.nan if (v := own[block][measure]) is None else v for block in blocks] for own in seeds.values()]
    return blocks, np.array(rows, np.float64)


def compare(found: Found, first: str, second: str, measure: str) -> tuple[Difference, list[float]]:
    """First minus second, with the interval over blocks and seeds; and the mean of each seed."""
    blocks, one = values(found, first, measure)
    others, two = values(found, second, measure)
    if blocks != others:
        raise ValueError(f"{first} and {second} were not scored on the same blocks")
    apart = one - two  # an answer without a seed is held against every seed
    known = np.isfinite(apart).all(axis=0)
    if not known.any():
        return Difference(math.nan, math.nan, math.nan, math.nan, 0), [math.nan]
    own = apart[:, known]
    strata = [tile_of(block) for block, is_known in zip(blocks, known, strict=True) if is_known]
    return block_bootstrap(own, strata), own.mean(axis=1).tolist()


def _means(own: np.ndarray) -> list[float]:
    """Of each row, over what is known in it."""
    return [float(np.mean(row[known])) if (known := np.isfinite(row)).any() else math.nan for row in own]


def write_report(path: Path, conclusions: Mapping[str, Any], designs: Mapping[str, Found]) -> None:
    """Write the tables."""
    tiles = conclusions["tiles"]
    parts = [
        f"<!-- made by python -m experiments.real_tiles --data DIR --preset {conclusions['preset']} "
        f"--sources {','.join(conclusions['sources'])} -->\n\n"
        f"{len(tiles)} tiles in the layout of TerraMesh ({', '.join(tiles)}; hash of their files {conclusions['content']}), "
        f"{conclusions['tile_size']} px; sources {' + '.join(conclusions['sources'])}; preset "
        f"`{conclusions['preset']}`; {origin(conclusions)}, written at commit {conclusions['commit']}.\n\n"
        "Scores are means over blocks. *Over blocks* is the standard deviation of blocks (each the mean of its seeds), *over "
        "seeds* that of seeds (each the mean of its blocks). Intervals are 95 %, by resampling blocks within their tiles and "
        "seeds: they say what other blocks of these tiles and other trainings would give, and nothing about other tiles.\n"
    ]  # fmt: skip
    for design, found in designs.items():
        if found:
            parts += [f"## {TITLES[design]}\n", _scores(found), _tiles(found), _differences(found), _by_tile(found)]
    path.write_text("\n".join(parts), encoding="utf-8")
    print(f"Wrote {path}")


def _scores(found: Found) -> str:
    rows = []
    for arm in found:
        cells = []
        for measure, (_, digits) in MEASURES.items():
            _, own = values(found, arm, measure)
            mean, over_seeds = mean_and_spread(_means(own))
            each = own.mean(axis=0)
            over_blocks = mean_and_spread(each[np.isfinite(each)].tolist() or [math.nan])[1]
            cells += [number(value, f".{digits}f") for value in (mean, over_blocks, over_seeds)]
        rows.append([arm, *cells])
    head = [text for title, _ in MEASURES.values() for text in (title, "over blocks", "over seeds")]
    blocks, seeds = values(found, next(iter(found)), "psnr")[0], max(len(own) for own in found.values())
    return f"Blocks: {len(blocks)}. Seeds: {seeds}.\n\n" + table(["", *head], rows)


def _tiles(found: Found) -> str:
    rows = []
    names = sorted({tile_of(block) for block in values(found, next(iter(found)), "psnr")[0]})
    for tile in names:
        for arm in found:
            cells = []
            for measure, (_, digits) in MEASURES.items():
                blocks, own = values(found, arm, measure)
                inside = [n for n, block in enumerate(blocks) if tile_of(block) == tile]
                each = _means(own[:, inside])
                cells.append("–" if math.isnan(each[0]) else spread(each, digits))
            rows.append([tile, arm, *cells])
    titles = [title for title, _ in MEASURES.values()]
    return "Every tile, mean ± standard deviation over seeds:\n\n" + table(["tile", "", *titles], rows)


def _differences(found: Found) -> str:
    rows = []
    for first, second in COMPARISONS:
        cells = []
        for measure, (_, digits) in MEASURES.items():
            whole, seeds = compare(found, first, second, measure)
            ends = f"{min(seeds):+.{digits}f} … {max(seeds):+.{digits}f}"
            cells += [difference(whole, digits), ends] if whole.pairs else ["–", "–"]
        rows.append([f"{first} − {second}", *cells])
    head = [text for title, _ in MEASURES.values() for text in (title, "seeds, lowest … highest")]
    return "Differences with their intervals over blocks and seeds:\n\n" + table(["", *head], rows)


def _by_tile(found: Found) -> str:
    """The differences once more, tile by tile: one of them may rule the mean."""
    rows = []
    for first, second in COMPARISONS:
        blocks = values(found, first, "psnr")[0]
        for tile in sorted({tile_of(block) for block in blocks}):
            inside = [n for n, block in enumerate(blocks) if tile_of(block) == tile]
            cells = []
            for measure, (_, digits) in MEASURES.items():
                apart = values(found, first, measure)[1][:, inside] - values(found, second, measure)[1][:, inside]
                each = _means(apart)
                cells.append("–" if any(map(math.isnan, each)) else spread(each, digits))
            rows.append([f"{first} − {second}", tile, *cells])
    titles = [title for title, _ in MEASURES.values()]
    return "The same tile by tile, mean ± standard deviation over seeds:\n\n" + table(["", "tile", *titles], rows)
