"""From physical units to colours, each with a fixed stretch, so that two pictures can be compared.

Every function returns (H, W, 3) in 0..1; pixels without data are light grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps

from rsspade.landcover import Scheme
from rsspade.sources import UNLABELLED

__all__ = [
    "ANGLE_MAX_DEG", "ASPECT", "ERROR_MAX", "FALSE_COLOUR_MAX", "GAMMA", "HILLSHADE", "NO_DATA", "RADAR_RANGES_DB", "SLOPE",
    "TRUE_COLOUR_MAX", "Ramp", "angle_colours", "error_colours", "false_colour", "landcover_colours", "radar_colours",
    "radar_ramp", "relief_colours", "relief_ramp", "relief_range", "right_colours", "true_colour",
]  # fmt: skip

NO_DATA = (0.86, 0.86, 0.86)
TRUE_COLOUR_MAX = 0.3
FALSE_COLOUR_MAX = {"nir": 0.5, "red": 0.25, "green": 0.25}
# Wide enough that speckle stays a grain and does not become confetti.
RADAR_RANGES_DB = {"vv": (-22.0, 0.0), "vh": (-28.0, -6.0), "vv-vh": (-2.0, 18.0)}
ERROR_MAX = 0.1  # reflectance; a class-mean image is off by about 0.02
ANGLE_MAX_DEG = 15.0
_RIGHT, _WRONG = (0.15, 0.20, 0.25), (1.0, 0.55, 0.10)
GAMMA = 1.8  # land is dark: most of it reflects less than a tenth in the visible
_LEAST_RELIEF_M = 20.0  # a plain must not look like the Alps


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """The colours of one kind of values, and where its scale is labelled.

    Attributes:
        name: Of a colour map.
        low: The value of its first colour.
        high: Of its last.
        ticks: Labelled values, in order.
        unit: Behind each label.
        part: Of the colour map that is used.
        words: What to write in place of values.
    """

    name: str
    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = ""
    part: tuple[float, float] = (0.0, 1.0)
    words: tuple[str, ...] = ()

    def colours(self, values: np.ndarray) -> np.ndarray:
        """(H, W) -> (H, W, 3)."""
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        first, last = self.part
        return _mapped(first + (last - first) * share, self.name)

    def label(self, value: float) -> str:
        """What is written at a tick."""
        if self.words:
            return self.words[self.ticks.index(value)]
        digits = 0 if self.high - self.low >= 5 else 2
        return f"{value:.{digits}f}".replace("-", "−") + self.unit


SLOPE = Ramp(name="YlOrBr", low=0, high=40, ticks=(0, 10, 20, 30, 40), unit="°")
ASPECT = Ramp(name="twilight", low=0, high=360, ticks=(0, 90, 180, 270, 360), words=("N", "E", "S", "W", "N"))
HILLSHADE = Ramp(name="gray", low=0, high=255, ticks=(0, 64, 128, 192, 255))
_TINTS = ("gist_earth", (0.4, 0.95))
"""The upper half of the map: without its blues, which would look like water."""


def true_colour(image: np.ndarray, names: Sequence[str]) -> np.ndarray | None:
    """Red, green, blue from 0 to `TRUE_COLOUR_MAX`; None where one of them is missing."""
    return _composite(image, names, dict.fromkeys(("red", "green", "blue"), TRUE_COLOUR_MAX))


def false_colour(image: np.ndarray, names: Sequence[str]) -> np.ndarray | None:
    """Near infrared, red and green as red, green and blue: vegetation is red."""
    return _composite(image, names, FALSE_COLOUR_MAX)


def radar_colours(db: np.ndarray) -> np.ndarray:
    """VV, VH and their difference as red, green and blue: rough ground is bright, forest green, water dark blue."""
    planes = {"vv": db[0], "vh": db[1], "vv-vh": db[0] - db[1]}
    stretched = [(planes[n] - low) / (high - low) for n, (low, high) in RADAR_RANGES_DB.items()]
    return _greyed(np.clip(np.stack(stretched, axis=-1), 0, 1))


def landcover_colours(classes: np.ndarray, scheme: Scheme) -> np.ndarray:
    """The colours of the scheme; unlabelled and unknown ids are without data."""
    table = np.tile(np.array(NO_DATA), (256, 1))
    for number, (red, green, blue, _) in scheme.colormap().items():
        if number != UNLABELLED:
            table[number] = np.array([red, green, blue]) / 255
    return np.asarray(table[classes.astype(np.uint8)])


def relief_range(elevation: np.ndarray) -> tuple[float, float]:
    """The heights in metres between which `relief_colours` runs from green to white."""
    if not np.isfinite(elevation).any():
        return 0.0, _LEAST_RELIEF_M
    low, high = float(np.nanmin(elevation)), float(np.nanmax(elevation))
    return low, max(high, low + _LEAST_RELIEF_M)


def relief_ramp(elevation: np.ndarray) -> Ramp:
    """The tints of `relief_colours`, without its shading."""
    low, high = relief_range(elevation)
    name, part = _TINTS
    return Ramp(name=name, low=low, high=high, ticks=(low, (low + high) / 2, high), unit=" m", part=part)


def radar_ramp(band: str) -> Ramp:
    """Grey, over the range of the band in `radar_colours`."""
    low, high = RADAR_RANGES_DB[band]
    return Ramp(name="gray", low=low, high=high, ticks=(low, (low + high) / 2, high), unit=" dB")


def relief_colours(terrain: np.ndarray) -> np.ndarray:
    """Tints of height, shaded by the hillshade: (4, H, W) as in a DEM tile."""
    tint = relief_ramp(terrain[0]).colours(terrain[0])
    # Flat ground has a hillshade of 181; it keeps its tint.
    shaded = np.clip(tint * np.clip(terrain[3] / 181.0, 0.15, 1.25)[..., None], 0, 1)
    shaded[~np.isfinite(terrain[0])] = np.nan
    return _greyed(shaded)


def error_colours(error: np.ndarray) -> np.ndarray:
    """Absolute error in reflectance (H, W), black at 0, light yellow from `ERROR_MAX` on."""
    return _mapped(error / ERROR_MAX, "inferno")


def angle_colours(angle_deg: np.ndarray) -> np.ndarray:
    """Spectral angle in degrees (H, W), dark at 0, yellow from `ANGLE_MAX_DEG` on."""
    return _mapped(angle_deg / ANGLE_MAX_DEG, "viridis")


def right_colours(right: np.ndarray) -> np.ndarray:
    """1 where a map is right (dark), 0 where it is wrong (orange), NaN where nobody knows."""
    picture = np.where(right[..., None] > 0, _RIGHT, _WRONG)
    picture[~np.isfinite(right)] = np.nan
    return _greyed(picture)


def _mapped(share: np.ndarray, name: str) -> np.ndarray:
    picture = np.array(colormaps[name](np.clip(np.nan_to_num(share), 0, 1))[..., :3])
    picture[~np.isfinite(share)] = np.nan
    return _greyed(picture)


def _composite(image: np.ndarray, names: Sequence[str], highest: dict[str, float]) -> np.ndarray | None:
    if not highest.keys() <= set(names):
        return None
    planes = [image[list(names).index(band)] / top for band, top in highest.items()]
    return _greyed(np.clip(np.stack(planes, axis=-1), 0, 1) ** (1 / GAMMA))


def _greyed(picture: np.ndarray) -> np.ndarray:
    picture = np.array(picture, np.float64)
    picture[~np.isfinite(picture).all(axis=-1)] = NO_DATA
    return picture
