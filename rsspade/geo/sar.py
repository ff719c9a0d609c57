"""Radar units: decibel, power and amplitude, told apart and brought to one another.

Backscatter is averaged and resampled in linear power and stored in dB. Which unit a file holds is rarely
written in it. Decibels are recognised by their sign; power and amplitude only where the levels of VV and VH
make sense as one and not as the other. Everything else is refused, because a wrong unit spoils a dataset in
silence.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsspade.errors import InputError, explain

__all__ = [
    "NOISE_FLOOR_POWER", "SAR_UNITS", "band_from_filename", "check_unit", "detect_unit", "parse_unit",
    "resolve_polarisations", "to_db", "to_power",
]  # fmt: skip

SAR_UNITS = ("db", "power", "amplitude")

NOISE_FLOOR_POWER = 1e-6
"""Power below this (-60 dB, far under the sensor's own noise) is lifted to it before the logarithm."""

_POLARISATIONS = ("vv", "vh")
_FILL_DB = -100.0  # no echo is that weak: -9999, -32768 and the like without a nodata tag
_NAME_UNIT = "Name the unit with --s1-unit db|power|amplitude."


def parse_unit(text: str) -> str:
    """The unit of that name; an unknown name lists the known ones."""
    unit = text.strip().lower()
    if unit not in SAR_UNITS:
        raise InputError(
            explain("radar unit", expected=" or ".join(SAR_UNITS), found=repr(text), fix="Correct the name.")
        )
    return unit


def detect_unit(sample: np.ndarray, where: object) -> str:
    """The unit of a file, from a sample of its pixels.

    Args:
        sample: (bands, ...) raw values, VV first and VH second; 0 and non-finite values count as missing.
        where: The file, for the error.

    Raises:
        InputError: Where the values do not tell.
    """
    values = [_measured(band) for band in sample]
    pooled = np.concatenate(values)
    _refuse_empty(pooled, where)
    _refuse_stretched(sample, pooled, where)
    if _looks_like_db(pooled):
        return "db"
    if np.median(pooled) < 0 or np.quantile(pooled, 0.001) < 0:
        raise InputError(
            explain(where, expected="backscatter in dB, power or amplitude",
                    found=f"values from {pooled.min():.4g} to {pooled.max():.4g}, median {np.median(pooled):.4g}", fix=_NAME_UNIT)
        )  # fmt: skip
    _refuse_uncalibrated(pooled, where)
    unit = _power_or_amplitude([float(np.median(v)) for v in values if v.size])
    if unit is None:
        medians = " and ".join(f"{np.median(v):.3g}" for v in values if v.size)
        raise InputError(
            explain(where, expected="backscatter that is clearly power or clearly amplitude",
                    found=f"linear values with medians {medians}, which could be either", fix=_NAME_UNIT)
        )  # fmt: skip
    return unit


def check_unit(sample: np.ndarray, unit: str, where: object) -> None:
    """Refuse a stated unit that the values contradict; (bands, ...) raw values."""
    unit = parse_unit(unit)
    pooled = np.concatenate([_measured(band) for band in sample])
    _refuse_empty(pooled, where)
    _refuse_stretched(sample, pooled, where)
    if unit == "db":
        if np.quantile(pooled, 0.01) >= 0:
            raise InputError(
                explain(where, expected="radar in dB, which is mostly negative",
                        found=f"no negative values, median {np.median(pooled):.4g}", fix="This looks linear: use --s1-unit power or amplitude.")
            )  # fmt: skip
        if not -45 < np.median(pooled) < 10:
            raise InputError(
                explain(where, expected="radar in dB with a median between -45 and 10", found=f"a median of {np.median(pooled):.4g}",
                        fix="Undo the scaling of the file first.")
            )  # fmt: skip
        return
    # Noise subtraction leaves slightly negative power; a whole dB and more it cannot leave.
    if np.median(pooled) < 0 or np.quantile(pooled, 0.001) < -1:
        raise InputError(
            explain(where, expected=f"radar as {unit}, which is not negative",
                    found=f"values down to {pooled.min():.4g}, median {np.median(pooled):.4g}", fix="This looks like dB: use --s1-unit db.")
        )  # fmt: skip
    _refuse_uncalibrated(pooled, where)


def to_power(values: np.ndarray, unit: str, nodata: float | None = None) -> np.ndarray:
    """Backscatter in any unit -> linear power, float32, NaN where there is no measurement.

    Missing are non-finite values, the declared nodata, fill values far below any echo, zeros in linear units
    (swath borders), and pixels that are exactly 0 dB in every band (masked pixels exported without nodata).

    Args:
        values: (bands, ...) or any shape whose first axis holds the bands.
        unit: The unit of the values.
        nodata: The value that the file declares as missing, if it does.
    """
    unit = parse_unit(unit)
    raw = values.astype(np.float64)
    missing = ~np.isfinite(raw)
    if nodata is not None:
        missing |= values == nodata
    with np.errstate(over="ignore"):  # an undeclared fill value may be huge; it is missing anyway
        if unit == "db":
            missing |= raw < _FILL_DB
            missing |= (raw == 0).all(axis=0) if raw.ndim > 1 else raw == 0
            power = 10.0 ** (raw / 10.0)
        else:
            missing |= (raw == 0) | (raw < -1)
            power = raw if unit == "power" else np.square(np.maximum(raw, 0))
        power = np.maximum(power, NOISE_FLOOR_POWER)
    power[missing] = np.nan
    return np.asarray(power, np.float32)


def to_db(values: np.ndarray, unit: str, nodata: float | None = None) -> np.ndarray:
    """Backscatter in any unit -> dB, float32, NaN where there is no measurement (see `to_power`)."""
    return np.asarray(10 * np.log10(to_power(values, unit, nodata)), np.float32)


def band_from_filename(path: str | Path) -> str | None:
    """`vv` or `vh` where the file's name holds exactly one of them as a word of its own; otherwise None."""
    return _polarisation(Path(path).name)


def resolve_polarisations(descriptions: Sequence[str | None], count: int, where: object) -> tuple[int, int]:
    """The 1-based indexes of VV and VH: by band description, else the first two of two or three bands.

    A third band is taken for the incidence angle that Earth Engine exports along.
    """
    named = [_polarisation(text or "") for text in descriptions]
    if all(p in named for p in _POLARISATIONS):
        if all(named.count(p) == 1 for p in _POLARISATIONS):
            return named.index("vv") + 1, named.index("vh") + 1
    elif not any(named) and count in (2, 3) and not any(_other_polarisation(text or "") for text in descriptions):
        return 1, 2
    found = ", ".join(text or "(unnamed)" for text in descriptions) or "none"
    raise InputError(
        explain(where, expected="one band VV and one band VH", found=f"{count} bands: {found}",
                fix="Describe the bands as VV and VH, or give one file per band with _VV and _VH in its name.")
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _polarisation(text: str) -> str | None:
    found = {word for word in _words(text) if word in _POLARISATIONS}
    return found.pop() if len(found) == 1 else None


def _other_polarisation(text: str) -> bool:
    return not {"hh", "hv"}.isdisjoint(_words(text))


def _measured(band: np.ndarray) -> np.ndarray:
    values = np.asarray(band, np.float64).ravel()
    return np.asarray(values[np.isfinite(values) & (values != 0) & (values > -9000)])


def _refuse_empty(pooled: np.ndarray, where: object) -> None:
    if not pooled.size:
        raise InputError(
            explain(where, expected="radar measurements", found="no valid pixel in the sample",
                    fix="Give a scene that covers the area.")
        )  # fmt: skip


def _refuse_stretched(sample: np.ndarray, pooled: np.ndarray, where: object) -> None:
    """Whole numbers from 0 to 255 are a picture, not a measurement."""
    is_whole = sample.dtype.kind in "iu" or bool((pooled == np.rint(pooled)).all())
    if is_whole and pooled.min() >= 0 and pooled.max() <= 255 and pooled.max() > 5:
        raise InputError(
            explain(where, expected="calibrated backscatter", found=f"whole numbers from 0 to {pooled.max():.0f}: an image stretched for display",
                    fix="Export the radar as sigma0 or gamma0 in floating point.")
        )  # fmt: skip


def _refuse_uncalibrated(pooled: np.ndarray, where: object) -> None:
    if np.median(pooled) > 5:
        raise InputError(
            explain(where, expected="calibrated backscatter (linear values around 0.01 to 1)",
                    found=f"a median of {np.median(pooled):.4g}", fix="Calibrate the radar to sigma0 or gamma0 first.")
        )  # fmt: skip


def _looks_like_db(pooled: np.ndarray) -> bool:
    return bool(np.quantile(pooled, 0.001) < -1 and -40 < np.median(pooled) < 5 and np.quantile(pooled, 0.25) < 0)


def _power_or_amplitude(medians: Sequence[float]) -> str | None:
    """Read the medians of VV and VH as power, in dB, and ask which reading a real scene allows.

    Read as power, amplitude shows half its dB. Few scenes have a median VH above -10.5 dB, so brighter readings
    are amplitude; read as amplitude, a VH below -15 dB would lie under -30 dB, beneath the sensor's noise,
    so darker readings are power. Between the two a calm forest in power looks like a rough sea in amplitude.
    """
    if len(medians) != len(_POLARISATIONS):
        return None
    vv, vh = (10 * np.log10(m) for m in medians)
    if vv < vh:
        return None  # co-polarised is the stronger one in nature: not what we think it is
    if vh <= -15 and vv <= -5:
        return "power"
    if vh > -10.5 and -7.5 < vv < 0:
        return "amplitude"
    return None
