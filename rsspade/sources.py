"""The sources: what each one holds, in which units, and what its values can possibly be.

Everything outside `rsspade.channels` works in these physical units: reflectance, dB, metres, degrees,
class ids. A source is one folder of a dataset; its bands are known by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rsspade.errors import InputError, explain

__all__ = [
    "CLOUD", "CONDITIONS", "DEM", "LULC", "OPTICAL", "ORACLE", "S1", "S2", "S2_CLOUDY", "SOURCES",
    "Band", "Source", "optical_band", "optical_source", "parse_conditions", "parse_optical_bands",
    "parse_subsets", "source_named",
]  # fmt: skip

UNLABELLED = 255
"""The class id of a pixel without a label, in every scheme."""

_LARGEST_WEIGHT = 1e6

CLOUD_CLASSES = {0: "clear", 1: "cloud", 2: "shadow", 255: "unknown"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """One band: its name, and the range outside which a value cannot be what it claims to be."""

    name: str
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One folder of a dataset.

    Attributes:
        name: What the command line calls it (`s1`).
        folder: Its folder in a dataset, and its key in `dataset.json` (`S1`).
        title: For people.
        unit: The unit of its values.
        bands: In the order of the file.
        dtype: Of the stored pixels.
        nodata: The stored value of a pixel that holds nothing; NaN for floating point.
    """

    name: str
    folder: str
    title: str
    unit: str
    bands: tuple[Band, ...]
    dtype: str
    nodata: float

    @property
    def band_names(self) -> tuple[str, ...]:
        """The names of the bands, in file order."""
        return tuple(band.name for band in self.bands)

    @property
    def is_categorical(self) -> bool:
        """Whether the values are ids, which no arithmetic may mix."""
        return self.dtype == "uint8"

    def valid(self, values: np.ndarray) -> np.ndarray:
        """Where all bands hold a value: (bands, H, W) -> (H, W), True where the pixel can be used."""
        good = values != self.nodata if self.is_categorical else np.isfinite(values)
        return np.asarray(good.all(axis=0))


# Sentinel-2 by product name and by common name; the range is that of surface reflectance, sun glint,
# snow in the sun and the atmospheric correction's small negative values included.
_OPTICAL_NAMES = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "rededge1": "B5", "rededge2": "B6",
    "rededge3": "B7", "nir": "B8", "nir08": "B8A", "nir09": "B9", "cirrus": "B10", "swir16": "B11", "swir22": "B12",
}  # fmt: skip
_ALIASES = {alias.lower(): name for name, alias in _OPTICAL_NAMES.items()} | {
    f"b0{n}": name for n, name in enumerate(list(_OPTICAL_NAMES)[:8], start=1)
}
_ALIASES |= {
    "b09": "nir09",
    "narrownir": "nir08",
    "nir8a": "nir08",
    "watervapour": "nir09",
    "swir1": "swir16",
    "swir2": "swir22",
}

DEFAULT_OPTICAL_BANDS = ("blue", "green", "red", "nir")
SENTINEL2_PRODUCT_NAMES = dict(_OPTICAL_NAMES)
"""Common band name -> Sentinel-2 product name, in the order of a 13-band file."""


def optical_band(text: str) -> str | None:
    """The common name of an optical band, from any of its usual names; None where it is not known."""
    key = text.strip().lower().replace("_", "").replace("-", "").replace(" ", "")
    if key in _OPTICAL_NAMES:
        return key
    return _ALIASES.get(key)


def parse_optical_bands(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of optical bands, common or product names."""
    names = []
    for part in text.split(","):
        name = optical_band(part)
        if name is None:
            known = ", ".join(_OPTICAL_NAMES)
            raise InputError(
                explain(
                    "optical bands",
                    expected=f"names out of {known} (or B1 … B12)",
                    found=repr(part.strip()),
                    fix="Name each band once, separated by commas.",
                )
            )
        if name in names:
            raise InputError(
                explain("optical bands", expected="each band once", found=f"{name} twice", fix="Remove one.")
            )
        names.append(name)
    return tuple(names)


def optical_source(bands: Iterable[str], *, name: str = "s2", folder: str = "S2", title: str = "Sentinel-2") -> Source:
    """An optical source with the named bands, reflectance as float32."""
    return Source(
        name=name, folder=folder, title=title, unit="reflectance", dtype="float32", nodata=float("nan"),
        bands=tuple(Band(name=band, lowest=-0.2, highest=2.5) for band in bands),
    )  # fmt: skip


S2 = optical_source(DEFAULT_OPTICAL_BANDS)
S2_CLOUDY = optical_source(DEFAULT_OPTICAL_BANDS, name="s2_cloudy", folder="S2_CLOUDY", title="Sentinel-2, clouded")
ORACLE = optical_source(DEFAULT_OPTICAL_BANDS, name="oracle", folder="ORACLE", title="best possible answer")
S1 = Source(
    name="s1", folder="S1", title="Sentinel-1", unit="dB", dtype="float32", nodata=float("nan"),
    bands=(Band(name="vv", lowest=-60.0, highest=35.0), Band(name="vh", lowest=-65.0, highest=30.0)),
)  # fmt: skip
LULC = Source(
    name="lulc", folder="LULC", title="land cover", unit="class id", dtype="uint8", nodata=UNLABELLED,
    bands=(Band(name="landcover", lowest=0, highest=255),),
)  # fmt: skip
DEM = Source(
    name="dem", folder="DEM", title="terrain", unit="m, degree, degree, grey level", dtype="float32", nodata=float("nan"),
    bands=(
        Band(name="elevation", lowest=-500.0, highest=9000.0),
        Band(name="slope", lowest=0.0, highest=90.0),
        Band(name="aspect", lowest=-1.0, highest=360.0),
        Band(name="hillshade", lowest=0.0, highest=255.0),
    ),
)  # fmt: skip
CLOUD = Source(
    name="cloud", folder="CLOUD", title="cloud mask", unit="0 clear, 1 cloud, 2 shadow", dtype="uint8", nodata=255,
    bands=(Band(name="cloud", lowest=0, highest=2),),
)  # fmt: skip

SOURCES: Mapping[str, Source] = {s.name: s for s in (S2, S1, LULC, DEM, S2_CLOUDY, CLOUD, ORACLE)}
"""Every source by its command-line name; the optical ones with the default bands."""

OPTICAL = ("s2", "s2_cloudy", "oracle")
"""The sources whose bands a dataset may choose."""

CONDITIONS = ("s1", "lulc", "dem")
"""The sources from which an optical image can be synthesised, in their usual order."""


def source_named(name: str, optical_bands: Iterable[str] = DEFAULT_OPTICAL_BANDS) -> Source:
    """The source of that name (or folder), optical ones with the given bands."""
    source = SOURCES.get(name.lower())
    if source is None:
        raise InputError(
            explain("source", expected=f"one of {', '.join(SOURCES)}", found=repr(name), fix="Correct the name.")
        )
    if source.name in OPTICAL:
        return optical_source(optical_bands, name=source.name, folder=source.folder, title=source.title)
    return source


def parse_conditions(text: str) -> tuple[str, ...]:
    """Read a comma-separated subset of the conditioning sources; returned in their usual order."""
    asked = {part.strip().lower() for part in text.split(",") if part.strip()}
    unknown = sorted(asked - set(CONDITIONS))
    if unknown or not asked:
        raise InputError(
            explain(
                "--sources",
                expected=f"a comma-separated subset of {', '.join(CONDITIONS)}",
                found=repr(text),
                fix="Name at least one.",
            )
        )
    return tuple(name for name in CONDITIONS if name in asked)


def parse_subsets(texts: Sequence[str], sources: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Read subsets of `sources` with their shares, such as `s1+dem:2`; without a number each counts 1.

    Returns:
        Subset, in the order of `sources` -> share; shares add up to 1.
    """
    weights: dict[tuple[str, ...], float] = {}
    for text in texts:
        names, colon, number = text.partition(":")
        asked = [name.strip().lower() for name in names.split("+")]
        weight = _weight(number) if colon else 1.0
        subset = tuple(name for name in sources if name in asked)
        if len(subset) != len(asked) or subset in weights or weight is None:
            raise InputError(
                explain(
                    "--subsets",
                    expected=f"different subsets of {', '.join(sources)} such as {'+'.join(sources)}:3, numbers above 0",
                    found=repr(text),
                    fix="Join sources by +, put a number behind a colon.",
                )
            )
        weights[subset] = weight
    return {subset: weight / sum(weights.values()) for subset, weight in weights.items()}


def _weight(text: str) -> float | None:
    try:
        weight = float(text)
    except ValueError:
        return None
    return weight if 0 < weight <= _LARGEST_WEIGHT else None
