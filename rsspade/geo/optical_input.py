"""From optical files to a mosaic of named bands and the way from their numbers to reflectance.

Three kinds of input meet here: files of several bands, one file per band, and SAFE products, which bring
their offset and their scene classification along. What the numbers mean is settled once per scene, on a
sample of all its files: a single window may be too dark or too bright to tell.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.geo import optical
from rsspade.geo.inputs import acquisition_date, plan_clouds, refuse_empty
from rsspade.geo.mosaic import Kind, Mosaic, Part
from rsspade.geo.offset import OFFSET, detect_offset, offset_in_pixels, stated_offset
from rsspade.geo.raster import RasterFile, inspect_raster, raster_files, sample
from rsspade.geo.safe import is_safe, open_safe
from rsspade.sources import SENTINEL2_PRODUCT_NAMES

__all__ = ["OpticalInput", "plan_optical"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiometry:
    """Reflectance = (value + offset) / scale, after what the file itself declares (see `read_bands`)."""

    scale: float
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OpticalInput:
    """The optical image of a scene."""

    mosaic: Mosaic
    radiometry: dict[str, Radiometry]
    scl: Mosaic | None
    date: str
    level: str = ""  # L1C or L2A, where products say it

    def to_reflectance(self, values: np.ndarray, part: Part) -> np.ndarray:
        """Raw values of a part -> reflectance, NaN where there is nothing."""
        how = self.radiometry[str(part.file.path)]
        declared = np.array([part.file.offsets[index - 1] for index in part.indexes], np.float32)
        return optical.to_reflectance(values, offset=how.offset, scale=how.scale, zero=declared[:, None, None])

    def describe(self) -> dict[str, object]:
        """For the record."""
        offsets = sorted({r.offset for r in self.radiometry.values()})
        return {
            "files": sorted({p.file.path.name for p in self.mosaic.parts}),
            "offset": offsets[0] if len(offsets) == 1 else offsets,
            **({"level": self.level} if self.level else {}),
        }


def plan_optical(paths: Sequence[Path], wanted: Sequence[str], offset: str) -> OpticalInput:
    """Find the wanted bands and settle what their numbers mean; `offset` is auto, 0 or -1000."""
    products = [p for p in paths if is_safe(p)]
    plain = raster_files([p for p in paths if not is_safe(p)])
    parts: list[Part] = []
    radiometry: dict[str, Radiometry] = {}
    masks: list[Path] = []
    dates = {d for d in [acquisition_date(plain)] if d}
    opened = [open_safe(folder) for folder in products]
    levels = {product.level: product.path for product in opened}
    if len(levels) > 1:
        raise InputError(
            explain(levels["L1C"], expected=f"products of one level in a scene, as {levels['L2A'].name} is L2A", found="L1C, the top of the atmosphere",
                    fix="Make a scene of each level, or leave one out.")
        )  # fmt: skip
    for folder, product in zip(products, opened, strict=True):
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
        found, others = _plain_parts([inspect_raster(p) for p in plain], wanted)
        radiometry |= _plain_radiometry(found, others, wanted, offset)
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
        level=next(iter(levels), ""),
    )  # fmt: skip


def _plain_parts(files: Sequence[RasterFile], wanted: Sequence[str]) -> tuple[list[Part], dict[str, list[RasterFile]]]:
    """The parts that supply the wanted bands, and the files of one other band each."""
    parts: list[Part] = []
    others: dict[str, list[RasterFile]] = defaultdict(list)
    for file in files:
        if file.count > 1:
            indexes = optical.resolve_bands(*_bands(file), wanted, file.path)
            parts.append(Part(file=file, indexes=tuple(indexes), bands=tuple(range(len(wanted)))))
            continue
        name = optical.band_from_filename(file.path) or optical.band_from_description(file.descriptions[0])
        if name is None and len(files) == 1:
            raise InputError(
                explain(file.path, expected=f"a file with the bands {', '.join(wanted)}", found="one band without a name", fix="Name one file per band (…_B02.tif …), or a file that holds them all.")
            )  # fmt: skip
        if name in wanted:
            parts.append(Part(file=file, indexes=(1,), bands=(wanted.index(name),)))
        elif name is not None:
            others[name].append(file)
    return parts, others


def _bands(file: RasterFile) -> tuple[Sequence[str | None], int]:
    """Descriptions and number of a file's bands, without an alpha band behind them."""
    described = file.alpha and optical.band_from_description(file.descriptions[file.alpha - 1]) is not None
    count = file.count - (file.alpha == file.count and not described)
    return file.descriptions[:count], count


def _measured(part: Part) -> np.ndarray:
    values = sample(part.file, part.indexes, side=256)
    values[values == 0] = np.nan
    return values


def _plain_radiometry(
    parts: Sequence[Part], others: dict[str, list[RasterFile]], wanted: Sequence[str], offset: str
) -> dict[str, Radiometry]:
    """One answer for all plain files of a scene, another for those that declare a scale or an offset themselves."""
    out: dict[str, Radiometry] = {}
    for declared in (True, False):
        some = [p for p in parts if _declares(p.file) is declared]
        if not some:
            continue
        where = some[0].file.path
        unwanted = {name: [f for f in files if _declares(f) is declared] for name, files in others.items()}
        pooled = _pooled_bands(some, unwanted, wanted)
        scale = optical.detect_scale(np.concatenate(list(pooled.values())), where)
        if scale == 1 or declared:
            _check_offset_of_reflectance(some, pooled, scale, offset)
            found = 0
        elif offset == "auto":
            _refuse_mixed_baselines(some)
            names = [name for p in some for name in _names(p.file)]
            found = detect_offset(pooled, names=names, tags=some[0].file.tags, where=where)
        else:
            found = int(offset)
        out |= {str(p.file.path): Radiometry(scale=scale, offset=found) for p in some}
    return out


def _check_offset_of_reflectance(
    parts: Sequence[Part], pooled: Mapping[str, np.ndarray], scale: float, offset: str
) -> None:
    """Where a file holds reflectance, or declares how to come to it: no offset is added to that, and who asks for one is told."""
    file = parts[0].file
    fix = "If it is still in the numbers, declare it (`gdal_edit.py -offset -0.1 FILE`, reflectance), else leave --s2-offset out."
    if int("0" if offset == "auto" else offset) != 0:
        declared = f"scale {file.scales[0]:g} and offset {file.offsets[0]:g}, declared by the file"
        raise InputError(
            explain(file.path, expected=f"digital numbers, to which --s2-offset {offset} can be added", found=declared if _declares(file) else "reflectance", fix=fix)
        )  # fmt: skip
    numbers = {name: values * optical.QUANTIFICATION for name, values in pooled.items()}
    if offset == "auto" and scale == 1 and not any(file.offsets) and offset_in_pixels(numbers) == OFFSET:
        warnings.warn(
            f"{file.path}: no band is darker than 0.09, as if Sentinel-2's offset of -1000 were still in it. If it is, declare it "
            "(`gdal_edit.py -offset -0.1 FILE`); if not, say so with --s2-offset 0.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip


def _declares(file: RasterFile) -> bool:
    return any(s != 1 for s in file.scales) or any(o != 0 for o in file.offsets)


def _names(file: RasterFile) -> tuple[str, ...]:
    """The words in which a product's name may stand: the file's, and those of the folders around it that are of Sentinel-2."""
    own = re.compile(r"s2|sentinel|^harmoni[sz]ed$", re.IGNORECASE)
    return (file.path.name, *(folder for folder in file.path.parts[-4:-1] if own.search(folder)))


def _refuse_mixed_baselines(parts: Sequence[Part]) -> None:
    """One offset serves all files of a scene, so their names and metadata may not state different ones."""
    stated: dict[int, Path] = {}
    for part in parts:
        own = stated_offset(_names(part.file), part.file.tags)
        if own is not None:
            stated.setdefault(own, part.file.path)
    if len(stated) > 1:
        raise InputError(
            explain(stated[OFFSET], expected="files with one offset in a scene", found=f"an offset of {OFFSET} here and of 0 in {stated[0].name}, as their processing baselines say",
                    fix="Make a scene of each with --scenes, or bring them to one offset and give it with --s2-offset.")
        )  # fmt: skip


def _pooled_bands(
    parts: Sequence[Part], others: dict[str, list[RasterFile]], wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    """Band -> sample of all files, every band that there is: those not wanted tell about the offset too."""
    pooled: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, files in others.items():
        pooled[name] = [sample(file, [1], side=400).ravel() for file in files]
    for part in parts:
        held = _known_bands(part.file) if part.file.count > 1 else {wanted[part.bands[0]]: 1}
        held = held or {wanted[b]: i for b, i in zip(part.bands, part.indexes, strict=True)}
        for name, plane in zip(held, sample(part.file, list(held.values()), side=400), strict=True):
            pooled[name].append(plane.ravel())
    most = max(map(len, pooled.values()))
    return {name: np.concatenate(planes) for name, planes in pooled.items() if len(planes) == most}  # seen everywhere


def _known_bands(file: RasterFile) -> dict[str, int]:
    """Every band of a file that has a name, by description or by position."""
    found = {}
    for name in SENTINEL2_PRODUCT_NAMES:
        try:
            found[name] = optical.resolve_bands(*_bands(file), [name], file.path)[0]
        except InputError:
            continue
    return found
