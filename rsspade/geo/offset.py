"""Whether digital numbers of Sentinel-2 carry the offset of newer products.

From processing baseline 04.00 on (January 2022), and in old scenes processed again since, reflectance is
(DN - 1000) / 10000 instead of DN / 10000. The date of a scene does not tell; the product's metadata and name
do, and where both are lost, the darkest pixels usually do: with the offset hardly any lies below 1000.

Evidence from pixels is asked twice. *Without* is proven by a dark end well below 1000. *With* is proven only by
a dark end that hugs 1000 in bands that nature darkens for different reasons (vegetation and water in red, water
in the infrared), together with lush vegetation, which cannot be as bright in red and blue as it would have to
be without the offset, or with water. A desert, a cloud deck or a snowfield proves neither, and is refused.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from rsspade.errors import InputError, explain

__all__ = ["OFFSET", "detect_offset", "offset_in_pixels", "stated_offset"]

OFFSET = -1000
"""What has to be added to digital numbers from processing baseline 04.00 on."""

_MIN_PIXELS = 400
_SHORT = ("coastal", "blue", "green")  # haze correction may overshoot here, to -0.03 over dark forest
_VISIBLE = ("coastal", "blue", "green", "red")
_HUGS = dict.fromkeys(("rededge1", "swir16", "swir22"), 1450)  # leaves are a little brighter here than in red
_HARMONIZED = re.compile(r"(?<!un)(?<!non)(?<!no[nt][-_ ])harmoni[sz]ed")  # Earth Engine's collections without offset
_SENTINEL = re.compile(r"s2|sentinel", re.IGNORECASE)
_BASELINE = re.compile(r"(?<![A-Za-z0-9])N(0\d{3})(?=_)(?!_[EW]\d)")  # N3045_E00510 is a place
_FIX = "Look into the product's metadata for a RADIO or BOA ADD_OFFSET and give --s2-offset 0 or --s2-offset -1000."


def detect_offset(
    bands: Mapping[str, np.ndarray],
    *,
    names: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
    where: object = "Sentinel-2",
) -> int:
    """The offset to add to the digital numbers: 0 or -1000.

    Args:
        bands: Common band name -> sample of digital numbers, all bands at the same places (about 10^5 pixels
            each are plenty; 0 and non-finite values count as missing). Give all bands the file has, wanted or
            not: the short-wave ones and the cirrus band tell most.
        names: File, folder and product names in which a processing baseline may stand.
        tags: Metadata of the file.
        where: The file, for the error.

    Raises:
        InputError: Where neither metadata nor pixels tell, or where they contradict each other.
    """
    tags, names = tags or {}, tuple(names)
    named, seen = stated_offset(names, tags), offset_in_pixels(bands)
    by_tags = named is not None and _from_tags(tags) == named
    if (
        named is not None
        and seen not in (None, named)
        and not (by_tags and named == OFFSET and not _far_too_dark(bands))
    ):
        raise InputError(
            explain(where, expected=f"digital numbers with an offset of {named}, as the {'metadata' if by_tags else 'name'} says",
                    found=f"pixels that look like an offset of {seen}", fix=_FIX)
        )  # fmt: skip
    decided = named if named is not None else seen
    if decided is None:
        darkest = min((_low(v) for v in _samples(bands).values()), default=float("nan"))
        raise InputError(
            explain(where, expected="a processing baseline in the name or metadata, or dark pixels that show the offset",
                    found=f"neither (the darkest band starts at {darkest:.0f})", fix=_FIX)
        )  # fmt: skip
    return decided


def stated_offset(names: Iterable[str], tags: Mapping[str, str]) -> int | None:
    """What metadata and names say of the offset, without a look at the pixels; None where they say nothing.

    Earth Engine's harmonised collections keep the properties of the product, its baseline and offsets among them, and have
    the offset removed: that they are harmonised counts more.
    """
    names = tuple(names)
    told = [text for text in map(str, tags.values()) if _SENTINEL.search(text)]
    if any(_HARMONIZED.search(text.lower()) for text in (*names, *told)):
        return 0
    stated = _from_tags(tags)
    return _from_names(names) if stated is None else stated


def _from_tags(tags: Mapping[str, str]) -> int | None:
    """An offset that the metadata states, or the processing baseline."""
    lower = {key.lower(): str(value).strip() for key, value in tags.items()}
    for key, value in lower.items():
        if "add_offset" in key and key.split("add_offset")[0].rstrip("_").endswith(("boa", "radio")):
            return round(float(value)) if re.fullmatch(r"-?\d+(\.0*)?", value) else None
    baseline = re.fullmatch(r"0?(\d{1,2})\.(\d{2})", lower.get("processing_baseline", ""))
    if baseline is None or baseline[1] == "99":
        return None
    return OFFSET if int(baseline[1]) >= 4 else 0


def _from_names(names: tuple[str, ...]) -> int | None:
    """The processing baseline in names of products; N9999, somebody's own processing, says nothing."""
    baselines = {int(found) for name in names for found in _BASELINE.findall(name)}
    answers = {OFFSET if number >= 400 else 0 for number in baselines}
    return answers.pop() if len(answers) == 1 else None


def _samples(bands: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measured values of each band that has enough of them."""
    found = {}
    for name, values in bands.items():
        flat = np.asarray(values, np.float64).ravel()
        flat = flat[np.isfinite(flat) & (flat != 0) & (flat > -9000)]
        if flat.size >= _MIN_PIXELS:
            found[name] = flat
    return found


def _low(values: np.ndarray) -> float:
    """The dark end: one pixel in a hundred is darker (single dark pixels may be defects or edges)."""
    return float(np.quantile(values, 0.01))


def offset_in_pixels(bands: Mapping[str, np.ndarray]) -> int | None:
    """What the digital numbers themselves say of the offset; None where they do not tell."""
    samples = _samples(bands)
    low = {name: _low(values) for name, values in samples.items()}
    if "cirrus" in samples:
        # Nothing but high cloud reflects here: the dark end is the offset itself, within a hundred or so.
        if low["cirrus"] < 500:
            return 0
        if low["cirrus"] >= 930 and np.median(samples["cirrus"]) <= 1150:
            return OFFSET
    if any(value < (600 if name in _SHORT else 850) for name, value in low.items()):
        return 0
    if not low or min(low.values()) < 900:
        return None
    hugging = {name for name, value in low.items() if name != "cirrus" and value <= _HUGS.get(name, 1350)}
    visible = hugging & set(_VISIBLE)
    infrared = hugging - set(_VISIBLE)
    lush, very_lush = _lushness(bands)
    if len(hugging) >= 3 and visible and infrared and (lush or _shows_water(samples)):
        return OFFSET
    if len(visible) >= 2 and very_lush:
        return OFFSET
    return None


def _far_too_dark(bands: Mapping[str, np.ndarray]) -> bool:
    """Whether an offset of -1000 would make reflectance as negative as no correction for the atmosphere does."""
    return any(_low(values) < 500 for values in _samples(bands).values())


def _lushness(bands: Mapping[str, np.ndarray]) -> tuple[bool, bool]:
    """Whether there is vegetation even if the numbers are read without an offset; and whether a lot of it.

    The offset washes vegetation out, so what still looks green without removing it is green indeed. Real
    vegetation of that kind is darker than 0.09 in red and blue somewhere, and the caller knows it is not.
    """
    if not {"red", "nir"} <= set(bands):
        return False, False
    red, nir = (np.asarray(bands[name], np.float64).ravel() for name in ("red", "nir"))
    if red.size != nir.size:
        return False, False
    measured = np.isfinite(red) & np.isfinite(nir) & (red > 0) & (nir > 0)
    if measured.sum() < _MIN_PIXELS:
        return False, False
    greenness = (nir[measured] - red[measured]) / (nir[measured] + red[measured])
    return bool((greenness > 0.35).mean() > 0.05), bool((greenness > 0.5).mean() > 0.2)


def _shows_water(samples: Mapping[str, np.ndarray]) -> bool:
    """Both short-wave bands start within a hair of 1000: water, which is black there, plus the offset."""
    return all(name in samples and 960 <= _low(samples[name]) <= 1100 for name in ("swir16", "swir22"))
