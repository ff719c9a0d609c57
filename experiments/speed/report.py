"""The numbers as one table: what, measured, ratio."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.cells.tables import table
from experiments.speed.plan import LIMIT_MB, LIMITS

__all__ = ["report", "rows"]

Row = tuple[str, str, str]


def report(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for each preset, with where and when each part was measured, and where a training step's time goes."""
    pieces = [
        "# How fast\n\nWritten by `python -m experiments.speed`; every ratio within one run, by turns, medians.\n"
    ]
    for preset, parts in results.items():
        pieces.append(f"## Preset {preset}\n\n{table(('what', 'measured', 'ratio'), list(rows(parts)))}")
        told = [f"- {name}: {part['date']}, {part['commit']}, {part['machine']}" for name, part in parts.items()]
        pieces.append("\n".join(told) + "\n")
        if "models" in parts:
            pieces.append(f"Where a training step's time goes:\n\n{_shares(parts['models']['shares'])}")
    return "\n".join(pieces)


def rows(parts: Mapping[str, Any]) -> Iterator[Row]:
    """The lines of one preset's table."""
    told = {
        "world": _world, "prepare": _prepare, "reading": _reading, "metrics": _metrics, "models": _models,
        "memory": _memory, "scene": _scene,
    }  # fmt: skip
    for name, part in parts.items():
        yield from told[name](part)


def _world(part: Mapping[str, Any]) -> Iterator[Row]:
    one, two = part["tiles_per_s"]["workers_1"], part["tiles_per_s"]["workers_2"]
    yield (
        f"`world`, {part['tile']} px, two workers against one",
        f"{two:.1f} against {one:.1f} tiles/s",
        _times(part["ratio"]),
    )


def _prepare(part: Mapping[str, Any]) -> Iterator[Row]:
    what = f"`prepare` on a {part['side']}×{part['side']} px scene, one worker: peak memory against {LIMIT_MB} MB"
    yield what, f"{part['peak_mb']:.0f} MB at {part['megapixels_per_s']:.2f} Mpx/s", _times(part["of_limit"])


def _reading(part: Mapping[str, Any]) -> Iterator[Row]:
    rates = part["tiles_per_s"]
    for way, ratio in part["ratios"].items():
        what = f"reading {part['tile']} px samples, packed copy against the GeoTIFFs, {way}"
        yield what, f"{rates['packed']:.0f} against {rates[way]:.0f} tiles/s", _times(ratio)


def _metrics(part: Mapping[str, Any]) -> Iterator[Row]:
    for name, ratio in part["ratios"].items():
        own, theirs = part["seconds"][name], part["seconds"][f"{name} of scikit-image"]
        what = f"{name.upper()} of {part['tiles']} tiles of {part['tile']} px: time of scikit-image against ours"
        difference = part["largest_difference"][name]
        yield what, f"{theirs:.3f} against {own:.3f} s, results differ by {difference:.0e} at most", _times(ratio)


def _models(part: Mapping[str, Any]) -> Iterator[Row]:
    for what, ratios in part["ratios"].items():
        seconds = part["seconds"][what]
        for name, ratio in ratios.items():
            wanted = f" (wanted: at most {LIMITS[name]:.3g})" if what == "training" and name in LIMITS else ""
            where = f"{what} per image of {part['tile']} px, batch {part['batch']}, `rs_spade` against `{name}`"
            yield where, f"{seconds['rs_spade']:.3g} against {seconds[name]:.3g} s", _times(ratio) + wanted


def _memory(part: Mapping[str, Any]) -> Iterator[Row]:
    for what, ratios in part["ratios"].items():
        held = part["megabytes"][what]
        for name, ratio in ratios.items():
            where = f"memory of {what}, {part['tile']} px, batch {part['batch']}, `rs_spade` against `{name}`"
            yield where, f"{held['rs_spade']:.0f} against {held[name]:.0f} MB", _times(ratio)


def _scene(part: Mapping[str, Any]) -> Iterator[Row]:
    rates, side = part["megapixels_per_s"], part["side"]
    for name, ratio in part["ratios"].items():
        what = f"`scene` of {side}×{side} px, time of `rs_spade` against `{name}`"
        yield what, f"{rates['rs_spade']:.3g} and {rates[name]:.3g} Mpx/s", _times(ratio)
    for name, ratio in part["of_network"].items():
        yield f"`scene`, time in times of its network alone, `{name}`", f"{rates[name]:.3g} Mpx/s", _times(ratio)


def _shares(shares: Mapping[str, Mapping[str, float]]) -> str:
    parts = sorted({part for own in shares.values() for part in own}, key=lambda p: -shares["rs_spade"].get(p, 0))
    return table(("", *shares), [[part, *(f"{own.get(part, 0):.1%}" for own in shares.values())] for part in parts])


def _times(ratio: float) -> str:
    return f"{ratio:.3g}"
