"""What the quantiles of a scene betray about its units.

Each function takes (tiles, bands, 2): per tile and band the 1 % and the 50 % quantile of its pixels. The answers
about a wrong unit are sure enough to fail; the rest are hints, and say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsspade.data.check_report import Level

__all__ = ["Hint", "optical_hints", "radar_hints", "terrain_hints"]


@dataclass(frozen=True, slots=True)
class Hint:
    """One suspicion."""

    level: Level
    check: str
    text: str
    fix: str


def optical_hints(tiles: np.ndarray, names: Sequence[str]) -> list[Hint]:
    """Digital numbers passed as reflectance; the offset of -1000 left in, or subtracted twice."""
    dark, middle = tiles[..., 0], tiles[..., 1]
    if np.median(middle) > 2:
        return [Hint(
            Level.FAIL, "unit.digital_numbers", f"a median of {np.median(middle):.4g} looks like digital numbers, not reflectance",
            "Prepare from the product's files, or divide by 10000 after adding the offset.",
        )]  # fmt: skip
    visible = [i for i, n in enumerate(names) if n in ("blue", "green", "red")]
    if not visible:
        return []
    hints = []
    middle_visible = float(np.median(middle[:, visible]))
    if middle_visible < 0 or np.quantile(dark[:, visible], 0.25) < -0.05:
        hints.append(Hint(
            Level.FAIL, "unit.offset_twice", f"visible reflectance has a median of {middle_visible:.3f} and dark pixels below -0.05: "
            "the offset of -1000 seems to have been subtracted twice", "Prepare again with --s2-offset 0.",
        ))  # fmt: skip
    # Some pixel of a scene is nearly always dark (shade, water, forest: blue and red below 0.05); with the offset
    # left in none is below 0.1. Bare deserts and ice sheets look the same, hence only a hint.
    darkest = dark[:, visible].min(axis=1)
    if np.min(darkest) > 0.09 and np.median(darkest) < 0.16:
        hints.append(Hint(
            Level.WARNING, "unit.offset_left_in", f"even the darkest 1 % has a reflectance of {np.median(darkest):.3f}: "
            "a hint that the offset of +1000 was left in (or that the land is bare and bright)",
            "If the product's baseline is 04.00 or later, prepare again with --s2-offset -1000.",
        ))  # fmt: skip
    return hints


def radar_hints(tiles: np.ndarray, names: Sequence[str]) -> list[Hint]:
    """Linear power or amplitude passed as dB; the two polarisations exchanged."""
    dark, middle = tiles[..., 0], tiles[..., 1]
    hints = []
    if dark.min() >= 0:
        hints.append(Hint(
            Level.FAIL, "unit.linear", f"no value is negative and the median is {np.median(middle):.3g}: this looks like linear power or amplitude, not dB",
            "Prepare again with --s1-unit power (or amplitude).",
        ))  # fmt: skip
    elif {"vv", "vh"} <= set(names) and np.median(middle[:, names.index("vh")] - middle[:, names.index("vv")]) > 0.5:
        hints.append(Hint(
            Level.WARNING, "unit.polarisations", "VH is stronger than VV, which hardly ever happens in nature: are the bands exchanged?",
            "Describe the bands of the input as vv and vh, or give them in that order.",
        ))  # fmt: skip
    elif np.median(middle) < -35:
        hints.append(Hint(
            Level.WARNING, "unit.decibel_twice", f"a median of {np.median(middle):.1f} dB is darker than calm water: "
            "a hint at a missing calibration, or at decibels taken twice", "Check --s1-unit against the product.",
        ))  # fmt: skip
    return hints


def terrain_hints(tiles: np.ndarray, names: Sequence[str]) -> list[Hint]:
    """Heights in feet make land look steeper than land is. Only ever a hint."""
    if "slope" not in names:
        return []
    slope = float(np.median(tiles[:, names.index("slope"), 1]))
    if slope < 45:  # the steepest mountains have scenes of about 30°
        return []
    return [Hint(
        Level.WARNING, "unit.feet", f"half of the land is steeper than {slope:.0f}°: a hint at heights in feet, "
        f"which in metres would be {np.degrees(np.arctan(np.tan(np.radians(slope)) * 0.3048)):.0f}°",
        "Check the vertical unit of the elevation product.",
    )]  # fmt: skip
