"""`dataset.json`: what a dataset is made of, as a whole."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rsspade.errors import InputError, explain
from rsspade.landcover import scheme_named
from rsspade.sources import Source, source_named

__all__ = ["FORMAT_VERSION", "DatasetInfo", "describe_source", "parse_info"]

FORMAT_VERSION = 1


_FIELDS: Mapping[str, tuple[type | tuple[type, ...], Callable[[Any], bool]]] = {
    "name": (str, lambda _: True),
    "tile_size": (int, lambda pixels: 1 <= pixels <= 8192),
    "pixel_size": ((int, float), lambda metres: 0 < metres <= 1e6),
    "sources": (dict, lambda _: True),
    "landcover_scheme": (str, lambda _: True),
    "statistics": (dict, lambda _: True),
    "split": (dict, lambda _: True),
    "made_by": (dict, lambda _: True),
    "sun": (dict, lambda _: True),
}
"""What a file must hold so that nobody has to look again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """`dataset.json`.

    Attributes:
        name: What it holds, for people; not the name of its folder, so that the same work gives the same bytes.
        sources: Folder -> bands, unit, dtype, nodata.
        statistics: Of the train split only: folder -> band -> count, mean, std, min, max; for land cover
            class id -> pixels.
        split: rule, ratio, seed, tiles per split, sha256.
        made_by: software, version, command and its arguments: no times, no paths of outputs, so that the
            same work gives the same bytes.
        sun: Scene -> azimuth and elevation of the sun in its optical image, degrees, where that is known.
    """

    name: str
    tile_size: int
    pixel_size: float
    sources: dict[str, dict[str, Any]]
    landcover_scheme: str
    statistics: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    sun: dict[str, list[float]] = field(default_factory=dict)
    version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Its fields; the sun only where it is known, so that datasets without it stay what they were."""
        content = asdict(self)
        if not self.sun:
            del content["sun"]
        return content

    def to_json(self) -> str:
        """As stored."""
        content = {"format": "rs-spade dataset", **self.to_dict()}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def describe_source(source: Source) -> dict[str, Any]:
    """The entry of a source in `dataset.json`."""
    return {
        "bands": list(source.band_names), "unit": source.unit, "dtype": source.dtype,
        "nodata": "nan" if math.isnan(source.nodata) else source.nodata,
    }  # fmt: skip


def parse_info(path: Path, text: str) -> DatasetInfo:
    """Read what `to_json` wrote; refuses what is not the description of a dataset."""
    try:
        content = json.loads(text)
        content.pop("format", None)
        info = DatasetInfo(**content)
        for folder, entry in info.sources.items():
            source_named(folder)
            if not all(isinstance(b, str) for b in entry["bands"]):
                raise TypeError(f"bands of {folder} are not names")  # noqa: TRY301 (one handler names the file for all)
        for name, (kind, fine) in _FIELDS.items():
            value = getattr(info, name)
            if not isinstance(value, kind) or isinstance(value, bool) or not fine(value):
                raise TypeError(f"{name}: {str(value)[:60]}")  # noqa: TRY301
        for folder, entry in {**info.sources, **info.statistics}.items():
            if not isinstance(entry, dict):
                raise TypeError(f"{folder}: {str(entry)[:60]}")  # noqa: TRY301
        scheme_named(info.landcover_scheme)
        for scene, angles in info.sun.items():
            if len(angles) != 2 or not all(math.isfinite(angle) for angle in angles):
                raise TypeError(f"sun of {scene}: {angles}")  # noqa: TRY301
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as err:
        raise InputError(
            explain(
                path,
                expected="the description of a dataset",
                found=f"{type(err).__name__}: {err}",
                fix="Restore the file, or make the dataset again.",
            )
        ) from err
    if info.version != FORMAT_VERSION:
        raise InputError(
            explain(
                path,
                expected=f"format version {FORMAT_VERSION}",
                found=repr(info.version),
                fix="Use the RS-SPADE that wrote it, or make the dataset again.",
            )
        )
    return info
