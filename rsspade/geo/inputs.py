"""From the files of one source to a mosaic with known bands and units.

Each `plan_…` looks at a thinned copy of the pixels and either settles what they are or refuses with the file,
what was expected, what was found and what to do.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyproj import CRS as ProjCRS  # noqa: N811 (rasterio has a CRS of its own)

from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.geo import sar
from rsspade.geo.mosaic import Kind, Mosaic, Part
from rsspade.geo.raster import RasterFile, inspect_raster, raster_files, sample, sample_classes
from rsspade.landcover import Scheme
from rsspade.sources import S1

__all__ = [
    "HIGHEST_M",
    "LOWEST_M",
    "RadarInput",
    "acquisition_date",
    "plan_classes",
    "plan_clouds",
    "plan_elevation",
    "plan_radar",
    "refuse_empty",
]

_FEET = re.compile(r"\b(feet|foot|ft|ftus|us[-_ ]?ft)\b", re.IGNORECASE)
LOWEST_M, HIGHEST_M = -500.0, 9000.0
"""Of the Earth's surface, with a margin; heights beyond are voids or feet."""


def acquisition_date(paths: Sequence[Path]) -> str:
    """The one date (YYYY-MM-DD) that the names of a scene's files agree on, else nothing."""
    found = set()
    for path in paths:
        stamp = re.search(r"(?<!\d)(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])T\d{6}", path.name)
        if stamp:
            found.add("-".join(stamp.groups()))
    return found.pop() if len(found) == 1 else ""


def refuse_empty(samples: Sequence[np.ndarray], paths: Sequence[Path], what: str) -> None:
    """Refuse a source without a single pixel of data."""
    if not any(np.isfinite(s).any() for s in samples):
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        raise InputError(
            explain(f"{paths[0]}{more}", expected=f"{what} with data", found="nothing but nodata", fix="Choose another scene, or correct the file's nodata value.")
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RadarInput:
    """Sentinel-1: vv and vh, and the unit of the files."""

    mosaic: Mosaic
    unit: str
    date: str

    def to_power(self, values: np.ndarray, part: Part) -> np.ndarray:
        """Raw values of a part -> linear power, which alone may be averaged."""
        return sar.to_power(values, self.unit)

    def describe(self) -> dict[str, object]:
        """For the record."""
        return {"files": sorted({p.file.path.name for p in self.mosaic.parts}), "unit": self.unit}


def plan_radar(paths: Sequence[Path], unit: str) -> RadarInput:
    """Find vv and vh in files of one or several bands, and the unit of their values."""
    parts = []
    for file in map(inspect_raster, raster_files(paths)):
        indexes, bands = _radar_bands(file)
        parts.append(Part(file=file, indexes=indexes, bands=bands))
    missing = [name for n, name in enumerate(S1.band_names) if not any(n in p.bands for p in parts)]
    if missing:
        raise InputError(
            explain(parts[0].file.path, expected="Sentinel-1 with the bands vv and vh", found=f"no {' and no '.join(missing)}", fix="Name the files of both polarisations.")
        )  # fmt: skip
    files = [p.file.path for p in parts]
    samples = [sample(p.file, p.indexes) for p in parts]
    refuse_empty(samples, files, "a radar image")
    per_band = [
        np.concatenate([s[p.bands.index(n)].ravel() for s, p in zip(samples, parts, strict=True) if n in p.bands])
        for n in range(2)
    ]
    for name, values in zip(S1.band_names, per_band, strict=True):
        refuse_empty([values], files, f"a radar image with {name}")
    length = max(map(len, per_band))
    pooled = np.stack([np.pad(b, (0, length - len(b)), constant_values=np.nan) for b in per_band])
    if unit == "auto":
        unit = sar.detect_unit(pooled, where=files[0])
    sar.check_unit(pooled, unit, where=files[0])
    return RadarInput(
        mosaic=Mosaic(parts=tuple(parts), num_bands=2, kind=Kind.RADAR), unit=unit, date=acquisition_date(files)
    )


def _radar_bands(file: RasterFile) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indexes in the file, and which of vv (0) and vh (1) they are."""
    if file.count > 1:
        return sar.resolve_polarisations(file.descriptions, file.count, file.path), (0, 1)
    name = sar.band_from_filename(file.path) or sar.band_from_filename(file.descriptions[0] or "")
    if name is None:
        raise InputError(
            explain(file.path, expected="two bands (vv, vh), or one whose file name or description says VV or VH", found="one band without a name", fix="Rename the file, such as scene_VV.tif.")
        )  # fmt: skip
    return (1,), (S1.band_names.index(name),)


def plan_elevation(paths: Sequence[Path]) -> Mosaic:
    """Elevation in metres from one band; refuses feet, and voids that the file does not declare."""
    files = [inspect_raster(p) for p in raster_files(paths)]
    parts, samples = [], []
    for file in files:
        index = _single_band(file, "elevation", ("elevation", "dem", "dsm", "dtm", "height"))
        _refuse_feet(file, index)
        values = sample(file, [index])
        strange = values[(values < LOWEST_M) | (values > HIGHEST_M)]
        if strange.size:
            worst = float(np.unique(strange)[0])
            share = strange.size / values.size
            raise InputError(
                explain(file.path, expected=f"heights of {LOWEST_M:g} to {HIGHEST_M:g} m, or a declared nodata value", found=f"{worst:g} in {share:.1%} of the pixels",
                        fix=f"If these are voids, declare them: `rio edit-info --nodata {worst:g} FILE`.")
            )  # fmt: skip
        parts.append(Part(file=file, indexes=(index,), bands=(0,)))
        samples.append(values)
    refuse_empty(samples, [f.path for f in files], "elevation")
    return Mosaic(parts=tuple(parts), num_bands=1, kind=Kind.ELEVATION)


def _refuse_feet(file: RasterFile, index: int) -> None:
    units = [
        file.units[index - 1] or "",
        file.descriptions[index - 1] or "",
        *(v for k, v in file.tags.items() if "unit" in k.lower()),
    ]
    axes = ProjCRS.from_user_input(file.crs).axis_info
    units += [a.unit_name for a in axes if a.direction == "up"]
    feet = next((u for u in units if _FEET.search(u)), None)
    if feet is not None:
        raise InputError(
            explain(file.path, expected="elevation in metres", found=f"the unit {feet!r}", fix="Convert it: `rio calc '(* 0.3048 (read 1))' FILE OUT`, and set the unit to metre.")
        )  # fmt: skip


def _single_band(file: RasterFile, what: str, names: Sequence[str]) -> int:
    """The index of the one band that is meant: the only one, or the one that says so."""
    if file.count - bool(file.alpha) == 1:
        return 2 if file.alpha == 1 else 1
    described = [(d or "").strip().lower() for d in file.descriptions]
    found = [n for n, d in enumerate(described, start=1) if d in names]
    if len(found) == 1:
        return found[0]
    raise InputError(
        explain(file.path, expected=f"one band with {what}, or a band described as {' or '.join(names)}", found=f"{file.count} bands {described}", fix="Extract the band, or describe it.")
    )  # fmt: skip


def plan_classes(paths: Sequence[Path], scheme: Scheme) -> Mosaic:
    """Land cover in the ids of a scheme; ids outside it are refused."""
    mosaic, samples = _categorical(
        paths, "land cover", ("label", "landcover", "land_cover", "lulc", "map", "classification", "lc")
    )
    refuse_empty(samples, [part.file.path for part in mosaic.parts], "land cover")
    for part, values in zip(mosaic.parts, samples, strict=True):
        known = np.isfinite(values)
        scheme.normalise(values[known], part.file.path)
        nodata = part.file.nodata[part.indexes[0] - 1]
        if nodata in scheme.ids and not known.all():
            name = scheme.names[scheme.ids.index(int(nodata))]
            warnings.warn(
                f"{part.file.path}: {nodata:g} is declared as nodata and is the class {name!r} of {scheme.name}; {1 - known.mean():.1%} of the "
                "pixels count as unknown. If they are of that class: `rio edit-info --unset-nodata FILE`.",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip
    return mosaic


def plan_clouds(paths: Sequence[Path]) -> Mosaic:
    """A cloud mask of ours (0, 1, 2, 255), a binary one, or Sentinel-2's scene classification."""
    mosaic, samples = _categorical(paths, "cloud mask", ("scl", "cloud", "cloud_mask", "mask", "cld"))
    _refuse_hidden_clear(mosaic.parts, samples)
    refuse_empty(samples, [part.file.path for part in mosaic.parts], "a cloud mask")
    found = {float(v) for values in samples for v in np.unique(values[np.isfinite(values)])}
    if found == {0.0, 255.0}:
        raise InputError(
            explain(mosaic.parts[0].file.path, expected="a mask of 0 clear, 1 cloud, 2 shadow, 255 unknown", found="0 and 255 only, and 255 may be cloud or unknown",
                    fix="Write cloud as 1, or declare 255 as nodata if it is: `rio edit-info --nodata 255 FILE`.")
        )  # fmt: skip
    return mosaic


def _refuse_hidden_clear(parts: Sequence[Part], samples: Sequence[np.ndarray]) -> None:
    """Refuse a mask whose clear pixels are declared as nodata; in a scene classification 0 is nodata indeed."""
    found = {float(v) for values in samples for v in np.unique(values[np.isfinite(values)])}
    if found <= {1.0, 2.0, 255.0} and any(0 in part.file.nodata for part in parts):
        raise InputError(
            explain(parts[0].file.path, expected="a mask in which 0 is clear", found="0 declared as nodata, and no clear pixel but for those",
                    fix="Say that 0 is a value: `rio edit-info --unset-nodata FILE`.")
        )  # fmt: skip


def _categorical(paths: Sequence[Path], what: str, names: Sequence[str]) -> tuple[Mosaic, list[np.ndarray]]:
    files = [inspect_raster(p) for p in raster_files(paths)]
    parts = [Part(file=f, indexes=(_single_band(f, what, names),), bands=(0,)) for f in files]
    samples = [sample_classes(p.file, p.indexes[0]) for p in parts]
    return Mosaic(parts=tuple(parts), num_bands=1, kind=Kind.CLASSES), samples
