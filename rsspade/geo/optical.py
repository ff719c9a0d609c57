"""Optical files: which band is which, digital numbers to reflectance, and cloud masks.

Bands are found by description first, by position last, and only in the layouts that are in common use.
The offset of newer Sentinel-2 products has a module of its own, `offset`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsspade.errors import InputError, explain
from rsspade.geo.offset import detect_offset
from rsspade.sources import SENTINEL2_PRODUCT_NAMES, UNLABELLED, optical_band

__all__ = [
    "QUANTIFICATION", "band_from_description", "band_from_filename", "decode_mask", "decode_scl", "detect_offset",
    "detect_scale", "is_scl", "resolve_bands", "to_reflectance",
]  # fmt: skip

QUANTIFICATION = 10000.0
"""Digital numbers per unit of reflectance."""

_BEYOND = (-0.3, 6.5)
"""Reflectance that is none: clouds and glint reach 2, and what a correction for the atmosphere leaves below 0 is small."""

_L1C = tuple(SENTINEL2_PRODUCT_NAMES)
_LAYOUTS = {
    13: _L1C,
    12: tuple(name for name in _L1C if name != "cirrus"),
    4: ("blue", "green", "red", "nir"),
}
_BAND_NUMBER = re.compile(r"b(?:0?[1-9]|1[0-2]|8a)")
_SPOKEN = {"nearinfrared": "nir", "infrared": "nir", "nirnarrow": "nir08", "coastalaerosol": "coastal", "aerosol": "coastal",
           "watervapor": "nir09", "ultrablue": "coastal"}  # fmt: skip
_MODIFIERS = {"edge", "vegetation", "narrow", "short", "wave", "shortwave", "panchromatic", "pan"}


def band_from_description(text: str | None) -> str | None:
    """The common name of the band that a description speaks of, None where it names none or several.

    Understands `blue`, `B2`, `B02 (490 nm)`, `B4, central wavelength 665 nm`, `S2_B8A_median` and the like;
    a bare `Band 2` counts files' bands and says nothing.
    """
    if not text:
        return None
    lower = text.lower()
    whole = "".join(re.findall(r"[a-z0-9]+", re.sub(r"\(.*?\)", "", lower)))
    name = optical_band(whole) or _SPOKEN.get(whole)
    if name is not None:
        return name
    words = re.findall(r"[a-z0-9]+", lower)
    numbers = {optical_band(word) for word in words if _BAND_NUMBER.fullmatch(word)}
    if len(numbers) == 1:
        return numbers.pop()
    if numbers or not _MODIFIERS.isdisjoint(words):
        return None  # several bands, or "red" that is a red edge
    names = {found for word in words if (found := optical_band(word)) is not None}
    return names.pop() if len(names) == 1 else None


def band_from_filename(path: str | Path) -> str | None:
    """The band of a one-band file from its name (`…_B02.tif`, `B8A_20m.jp2`, `scene_red.tif`), else None.

    Only the last words of the name count, after which no more than a resolution may stand: product names hold
    words that look like bands.
    """
    words = re.findall(r"[A-Za-z0-9]+", Path(path).stem)
    while words and re.fullmatch(r"\d+m|sr|boa|toa|refl|reflectance|cog", words[-1].lower()):
        words.pop()
    return optical_band(words[-1]) if words else None


def resolve_bands(descriptions: Sequence[str | None], count: int, wanted: Sequence[str], where: object) -> list[int]:
    """The 1-based indexes of the wanted bands in a file.

    Args:
        descriptions: Of the file's bands, in order; None or empty where there is none.
        count: How many bands the file has.
        wanted: Common names.
        where: The file, for the error.
    """
    named = [band_from_description(text) for text in descriptions] or [None] * count
    layout = _LAYOUTS.get(count)
    if all(name in named for name in wanted):
        doubled = [name for name in wanted if named.count(name) > 1]
        if doubled:
            raise _band_error(
                where, wanted, f"{doubled[0]} twice in {_listed(descriptions)}", "Describe each band once."
            )
        return [named.index(name) + 1 for name in wanted]
    recognised = [name for name in named if name is not None]
    # A few described bands do not disprove the usual order as long as each stands where it should and the
    # others are nameless: blue, green, red and "QA60" are not blue, green, red and near infrared.
    odd = [text for text, name in zip(descriptions, named, strict=False) if name is None and not _is_nameless(text)]
    if (
        layout is None
        or any(name not in (None, usual) for name, usual in zip(named, layout, strict=False))
        or (recognised and odd)
    ):
        if recognised:
            raise _band_error(
                where, wanted, _listed(descriptions), "Describe the missing bands, or correct --s2-bands."
            )
        usual = "13 (L1C order), 12 (L2A order, no B10) or 4 (blue, green, red, nir)"
        raise _band_error(
            where, wanted, f"{count} bands without descriptions", f"Describe the bands, or export {usual} bands."
        )
    absent = [name for name in wanted if name not in layout]
    if absent:
        raise _band_error(where, wanted, f"{count} bands, which are {', '.join(layout)}", f"Leave out {', '.join(absent)}, or export it.")  # fmt: skip
    return [layout.index(name) + 1 for name in wanted]


def detect_scale(sample: np.ndarray, where: object) -> float:
    """What to divide the values by: 10000 for digital numbers, 1 for reflectance; refuses what is neither.

    Decided once for a file, on a sample of its pixels (0 and non-finite values count as missing), because a
    window alone may be too dark or too bright to tell.
    """
    values = np.asarray(sample, np.float64)
    values = values[np.isfinite(values) & (values != 0) & (values > -9000)]
    if not values.size:
        raise InputError(
            explain(where, expected="optical data", found="no valid pixel in the sample", fix="Choose another scene.")
        )
    top = float(np.quantile(values, 0.99))
    is_whole = bool((values == np.rint(values)).all())
    if not is_whole and top <= 2.5:
        return 1.0
    if top > 255 and top <= 65535:
        return QUANTIFICATION
    raise InputError(
        explain(where, expected="reflectance (0 to about 1) or digital numbers (reflectance × 10000)",
                found=f"values up to {top:.4g} (99th percentile)" + (", whole numbers: an image stretched for display?" if is_whole else ""),
                fix="Export the surface reflectance itself.")
    )  # fmt: skip


def to_reflectance(
    values: np.ndarray,
    *,
    offset: float = 0,
    nodata: float | None = None,
    scale: float = QUANTIFICATION,
    zero: np.ndarray | float = 0,
) -> np.ndarray:
    """Raw values -> reflectance as float32: (value + offset) / scale, NaN where there is no data.

    Missing are the declared nodata, what no ground can be (the fill values -9999, -10000 and 65535 of files that do not
    declare them) and, tested before the offset is added, digital number 0: with the offset in any band, without it where
    every band is 0, since single zeros are then clipped water.

    Args:
        values: (bands, H, W).
        offset: 0 or -1000 digital numbers, see `detect_offset`; applied to digital numbers only.
        nodata: The value that the file declares as missing, if it does.
        scale: From `detect_scale`.
        zero: What digital number 0 has become by an offset that the file declares, which is in `values` already.
    """
    missing = np.zeros(values.shape, bool) if values.dtype.kind != "f" else ~np.isfinite(values)
    if nodata is not None:
        missing |= values == nodata
    lowest, highest = (limit * scale for limit in _BEYOND)
    missing |= (values < lowest) | (values > highest)
    empty = values == zero
    if scale == 1:
        missing |= empty.all(axis=0) if values.ndim > 2 else empty
        offset = 0
    elif offset == 0 and values.ndim > 2 and len(values) > 1:
        missing |= empty.all(axis=0)  # collections without the offset clip dark water to 0 in single bands
    else:
        missing |= empty
    # In float64: a float32 sum would move the last bit of a digital number near 10000.
    out = ((values.astype(np.float64) + offset) / scale).astype(np.float32)
    out[missing] = np.nan
    return np.asarray(out)


# Sentinel-2's scene classification -> 0 clear, 1 cloud, 2 shadow, 255 unknown. Class 2 is ground in the shade
# of the terrain (or plain dark ground): the surface was seen, so it is clear. Class 7, "unclassified", is
# mostly bare and built ground. 0 is no data, 1 saturated or defective.
_SCL = {0: 255, 1: 255, 2: 0, 3: 2, 4: 0, 5: 0, 6: 0, 7: 0, 8: 1, 9: 1, 10: 1, 11: 0, 255: 255}
_MASK = (0, 1, 2, UNLABELLED)


def decode_scl(scl: np.ndarray, where: object = "scene classification") -> np.ndarray:
    """Sentinel-2 scene classification (0..11) -> 0 clear, 1 cloud, 2 shadow, 255 unknown, as uint8."""
    ids = _whole(scl)
    unknown = sorted(set(np.unique(ids).tolist()) - set(_SCL))
    if unknown:
        raise _class_error(where, "the scene classes 0 to 11", unknown)
    table = np.full(256, UNLABELLED, np.uint8)
    table[list(_SCL)] = list(_SCL.values())
    return np.asarray(table[ids.astype(np.uint8)])


def decode_mask(mask: np.ndarray, where: object = "cloud mask") -> np.ndarray:
    """A mask of 0 clear, 1 cloud, 2 shadow, 255 unknown, checked; missing (NaN) becomes 255. A 0/1 mask is one too."""
    ids = _whole(mask)
    unknown = sorted(set(np.unique(ids).tolist()) - set(_MASK))
    if unknown:
        raise _class_error(where, "0 clear, 1 cloud, 2 shadow, 255 unknown", unknown)
    return np.asarray(ids.astype(np.uint8))


def is_scl(sample: np.ndarray, path: str | Path, where: object | None = None) -> bool:
    """Whether a cloud layer is a scene classification rather than a mask of ours.

    Ask once for a file, with a sample of the whole of it: a window may hold no more than 0, 1 and 2, which both
    schemes use, and mean different things by them. The word SCL in the file's name settles it.
    """
    ids = set(np.unique(_whole(sample)).tolist())
    if "scl" in re.findall(r"[a-z0-9]+", Path(path).name.lower()):
        return True
    if ids <= set(_MASK):
        return False
    if ids <= set(_SCL):
        return True
    raise _class_error(
        where or path, "0 clear, 1 cloud, 2 shadow, 255 unknown, or scene classes 0 to 11", sorted(ids - set(_SCL))
    )


def _is_nameless(text: str | None) -> bool:
    return re.fullmatch(r"(bands?)?[ _-]?\d*", (text or "").strip().lower()) is not None


def _whole(values: np.ndarray) -> np.ndarray:
    """Class values as whole numbers; NaN, the sign of a missing pixel after resampling, as 255."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isfinite(values), np.rint(values), UNLABELLED).astype(np.int64)


def _listed(descriptions: Sequence[str | None]) -> str:
    return ", ".join(text or "(unnamed)" for text in descriptions)


def _band_error(where: object, wanted: Sequence[str], found: str, fix: str) -> InputError:
    return InputError(explain(where, expected=f"the bands {', '.join(wanted)}", found=found, fix=fix))


def _class_error(where: object, expected: str, unknown: Sequence[int]) -> InputError:
    shown = ", ".join(f"{v:g}" for v in unknown[:6]) + (" …" if len(unknown) > 6 else "")
    return InputError(
        explain(where, expected=expected, found=f"the values {shown}", fix="Convert the mask, or leave it out.")
    )
