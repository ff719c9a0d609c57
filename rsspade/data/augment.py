"""Flips and quarter turns of a sample, all its sources together.

Pixels move; values stay. Aspect and hillshade refer to true north and to the true sun, and so do the shadows in
the optical image: a slope that looked north still looked north after its picture was turned. The option
`turn_directions` does the other thing, it turns the compass with the picture, so that what it costs can be
measured.
"""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Augmentation", "Move", "draw_move", "move_pixels", "turn_azimuth", "turn_compass"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Which moves are drawn.

    Attributes:
        flips: Mirror left and right, every second time.
        turns: By 0, 90, 180 or 270 degrees; by 0 or 180 where a crop is not square.
        turn_directions: Turn the values of aspect and hillshade with the picture.
    """

    flips: bool = True
    turns: bool = True
    turn_directions: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """First mirror left and right, then turn anticlockwise by quarters."""

    flip: bool = False
    quarter_turns: int = 0


def draw_move(rng: np.random.Generator, augmentation: Augmentation, *, square: bool) -> Move:
    """Draw one of the eight (or four) moves; always takes the same number of draws."""
    flip, turns = bool(rng.integers(2)), int(rng.integers(4))
    if not square:
        turns = turns // 2 * 2
    return Move(flip and augmentation.flips, turns if augmentation.turns else 0)


def move_pixels(values: np.ndarray, move: Move) -> np.ndarray:
    """Move the pixels of (…, H, W); a view where numpy can give one."""
    if move.flip:
        values = values[..., ::-1]
    return np.rot90(values, move.quarter_turns, axes=(-2, -1))


def turn_azimuth(azimuth_deg: np.ndarray | float, move: Move) -> np.ndarray | float:
    """Mirroring swaps east and west, a turn anticlockwise takes the angle from the azimuth."""
    return ((-azimuth_deg if move.flip else azimuth_deg) - 90.0 * move.quarter_turns) % 360.0


def turn_compass(dem: np.ndarray, move: Move, *, azimuth_deg: float = 315.0, altitude_deg: float = 45.0) -> np.ndarray:
    """Elevation, slope, aspect, hillshade (4, H, W) of a moved tile -> the same as if the ground had moved too.

    The hillshade follows from slope and aspect. What is not finite stays as it is.
    """
    elevation, slope, aspect, _ = dem
    flat = aspect < 0
    turned = np.where(flat, aspect, turn_azimuth(aspect, move))
    altitude, azimuth = math.radians(altitude_deg), math.radians(azimuth_deg)
    tilt = np.radians(slope)
    facing = np.where(flat, 0.0, np.cos(azimuth - np.radians(turned)))
    light = math.sin(altitude) * np.cos(tilt) + math.cos(altitude) * np.sin(tilt) * facing
    hillshade = 1.0 + 254.0 * np.maximum(light, 0.0)
    return np.stack([elevation, slope, turned, hillshade]).astype(np.float32)
