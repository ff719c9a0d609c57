"""From optical files to a mosaic of named bands and the way from their numbers to reflectance.

Three kinds of input meet here: files of several bands, one file per band, and SAFE products, which bring
their offset and their scene classification along. What the numbers mean is settled once per scene, on a
sample of all its files: a single window may be too dark or too bright to tell.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsspade.errors import InputError, explain
from rsspade.geo import optical
from rsspade.geo.inputs import acquisition_date, plan_clouds, refuse_empty
from rsspade.geo.mosaic import Kind, Mosaic, Part
from rsspade.geo.offset import detect_offset
from rsspade.geo.raster import RasterFile, inspect_raster, raster_files, sample
from rsspade.geo.safe import is_safe, open_safe
from rsspade.sources import SENTINEL2_PRODUCT_NAMES

__all__ = ["OpticalInput", "plan_optical"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiometry:
    """Reflectance = (value + offset) / scale, unless the file itself declares another way (`gain`, `bias`)."""

    scale: float
    offset: int
    gain: float | None = None
    bias: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class OpticalInput:
    """The optical image of a scene."""

    mosaic: Mosaic
    radiometry: dict[str, Radiometry]
    scl: Mosaic | None
    date: str

    def to_reflectance(self, values: np.ndarray, part: Part) -> np.ndarray:
        """Raw values of a part -> reflectance, NaN where there is nothing."""
        how = self.radiometry[str(part.file.path)]
        if how.gain is not None:
            return np.asarray(values * np.float32(how.gain) + np.float32(how.bias), np.float32)
        return optical.to_reflectance(values, offset=how.offset, scale=how.scale)

    def describe(self) -> dict[str, object]:
        """For the record."""
        offsets = sorted({r.offset for r in self.radiometry.values()})
        return {
            "files": sorted({p.file.path.name for p in self.mosaic.parts}),
            "offset": offsets[0] if len(offsets) == 1 else offsets,
        }


def plan_optical(paths: Sequence[Path], wanted: Sequence[str], offset: str) -> OpticalInput:
    """Find the wanted bands and settle what their numbers mean; `offset` is auto, 0 or -1000."""
    products = [p for p in paths if is_safe(p)]
    plain = raster_files([p for p in paths if not is_safe(p)])
    parts: list[Part] = []
    radiometry: dict[str, Radiometry] = {}
    masks: list[Path] = []
    dates = {d for d in [acquisition_date(plain)] if d}
    for folder in products:
        product = open_safe(folder)
        missing = [name for name in wanted if name not in product.bands]
        if missing:
            raise InputError(
                explain(folder, expected=f"the bands {', '.join(wanted)}", found=f"no {', '.join(missing)}", fix="Download the product completely, or correct --s2-bands.")
            )  # fmt: skip
        for n, name in enumerate(wanted):
            file = inspect_raster(product.bands[name])
            parts.append(Part(file=file, indexes=(1,), bands=(n,)))
            stated = product.offset if offset == "auto" else int(offset)
            radiometry[str(file.path)] = Radiometry(scale=optical.QUANTIFICATION, offset=stated)
        masks += [product.scl] if product.scl else []
        dates |= {product.date} if product.date else set()
    if plain:
        found = _plain_parts([inspect_raster(p) for p in plain], wanted)
        radiometry |= _plain_radiometry(found, wanted, offset)
        parts += found
    absent = [name for n, name in enumerate(wanted) if not any(n in p.bands for p in parts)]
    if absent:
        raise InputError(
            explain(paths[0], expected=f"the bands {', '.join(wanted)}", found=f"no {', '.join(absent)}", fix="Name the files of all bands, or correct --s2-bands.")
        )  # fmt: skip
    refuse_empty([_measured(p) for p in parts], [p.file.path for p in parts], "an optical image")
    return OpticalInput(
        mosaic=Mosaic(parts=tuple(parts), num_bands=len(wanted), kind=Kind.OPTICAL), radiometry=radiometry,
        scl=plan_clouds(masks) if masks and not plain else None, date=dates.pop() if len(dates) == 1 else "",
    )  # fmt: skip


def _plain_parts(files: Sequence[RasterFile], wanted: Sequence[str]) -> list[Part]:
    parts = []
    for file in files:
        if file.count > 1:
            indexes = optical.resolve_bands(file.descriptions, file.count, wanted, file.path)
            parts.append(Part(file=file, indexes=tuple(indexes), bands=tuple(range(len(wanted)))))
            continue
        name = optical.band_from_filename(file.path) or optical.band_from_description(file.descriptions[0])
        if name is None and len(files) == 1:
            raise InputError(
                explain(file.path, expected=f"a file with the bands {', '.join(wanted)}", found="one band without a name", fix="Name one file per band (…_B02.tif …), or a file that holds them all.")
            )  # fmt: skip
        if name in wanted:
            parts.append(Part(file=file, indexes=(1,), bands=(wanted.index(name),)))
    return parts


def _measured(part: Part) -> np.ndarray:
    values = sample(part.file, part.indexes, side=256)
    values[values == 0] = np.nan
    return values


def _plain_radiometry(parts: Sequence[Part], wanted: Sequence[str], offset: str) -> dict[str, Radiometry]:
    """One answer for all plain files of a scene, except for those that declare a scale of their own."""
    out: dict[str, Radiometry] = {}
    open_parts = []
    for part in parts:
        index = part.indexes[0] - 1
        gain, bias = part.file.scales[index], part.file.offsets[index]
        if gain != 1 or bias != 0:
            out[str(part.file.path)] = Radiometry(scale=1.0, offset=0, gain=gain, bias=bias)
        else:
            open_parts.append(part)
    if not open_parts:
        return out
    pooled = _pooled_bands(open_parts, wanted)
    where = open_parts[0].file.path
    scale = optical.detect_scale(np.concatenate(list(pooled.values())), where)
    if scale == 1:
        found = 0
    elif offset == "auto":
        names = [part for p in open_parts for part in p.file.path.parts[-4:]]
        found = detect_offset(pooled, names=names, tags=open_parts[0].file.tags, where=where)
    else:
        found = int(offset)
    return out | {str(p.file.path): Radiometry(scale=scale, offset=found) for p in open_parts}


def _pooled_bands(parts: Sequence[Part], wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Band -> sample of all files, every band that they hold: those not wanted tell about the offset too."""
    pooled: dict[str, list[np.ndarray]] = defaultdict(list)
    for part in parts:
        held = _known_bands(part.file) if part.file.count > 1 else {wanted[part.bands[0]]: 1}
        held = held or {wanted[b]: i for b, i in zip(part.bands, part.indexes, strict=True)}
        for name, plane in zip(held, sample(part.file, list(held.values()), side=400), strict=True):
            pooled[name].append(plane.ravel())
    most = max(map(len, pooled.values()))
    return {name: np.concatenate(planes) for name, planes in pooled.items() if len(planes) == most}


def _known_bands(file: RasterFile) -> dict[str, int]:
    """Every band of a file that has a name, by description or by position."""
    found = {}
    for name in SENTINEL2_PRODUCT_NAMES:
        try:
            found[name] = optical.resolve_bands(file.descriptions, file.count, [name], file.path)[0]
        except InputError:
            continue
    return found
