"""Sentinel-2 products as ESA delivers them: a `….SAFE` folder of JPEG 2000 files and XML metadata.

Band files are found by their names in the folder, never through paths that the XML gives, and only the top of
the metadata is read: processing baseline, offsets, sensing time.

    L2A  MTD_MSIL2A.xml  GRANULE/*/IMG_DATA/R{10,20,60}m/T33TWN_20230704T100031_B02_10m.jp2  (…_SCL_20m.jp2)
    L1C  MTD_MSIL1C.xml  GRANULE/*/IMG_DATA/T33TWN_20230704T100031_B02.jp2
"""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from rsspade.errors import InputError, explain
from rsspade.geo.offset import OFFSET
from rsspade.sources import optical_band

__all__ = ["SafeProduct", "is_safe", "open_safe"]

_METADATA = {"MTD_MSIL2A.xml": "L2A", "MTD_MSIL1C.xml": "L1C"}
_LARGEST_METADATA = 32 * 1024 * 1024  # real ones have less than 1 MB; more is not metadata
_IMAGE = re.compile(r"_(?P<band>B\d\d|B8A|SCL)(?:_(?P<metres>\d\d)m)?\.jp2$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SafeProduct:
    """One product of one Sentinel-2 tile.

    Attributes:
        path: The folder.
        level: `L1C` (top of the atmosphere) or `L2A` (surface).
        bands: Common band name -> file, the finest there is.
        scl: The scene classification, which L2A has.
        offset: To be added to the digital numbers: 0 or -1000.
        baseline: The processing baseline, as `05.09`.
        date: The day of sensing, YYYY-MM-DD; empty where the metadata hold none.
    """

    path: Path
    level: str
    bands: dict[str, Path]
    scl: Path | None
    offset: int
    baseline: str
    date: str


def is_safe(path: Path) -> bool:
    """Whether a path is a Sentinel-2 product folder (or the metadata file in one)."""
    folder = path.parent if path.name in _METADATA else path
    return folder.is_dir() and any((folder / name).is_file() for name in _METADATA)


def open_safe(path: Path) -> SafeProduct:
    """Open a product folder, given itself or as its metadata file."""
    folder = path.parent if path.name in _METADATA else path
    if path.suffix.lower() == ".zip":
        raise InputError(
            explain(path, expected="an unpacked SAFE folder", found="a zip archive", fix="Unpack it first.")
        )
    metadata = next((folder / name for name in _METADATA if (folder / name).is_file()), None)
    if metadata is None:
        found = "no metadata in it" if folder.is_dir() else "no such folder"
        raise InputError(
            explain(path, expected=f"a Sentinel-2 product with {' or '.join(_METADATA)}", found=found,
                    fix="Name the ….SAFE folder itself, completely downloaded.")
        )  # fmt: skip
    level = _METADATA[metadata.name]
    root = _parsed(metadata)
    bands, scl = _images(folder)
    if not bands:
        raise InputError(
            explain(folder, expected="band files under GRANULE/*/IMG_DATA", found="none", fix="Download the product completely.")
        )  # fmt: skip
    baseline = _text(root, "PROCESSING_BASELINE")
    return SafeProduct(
        path=folder, level=level, bands=bands, scl=scl if level == "L2A" else None,
        offset=_offset(root, baseline, metadata), baseline=baseline, date=_date(root, folder),
    )  # fmt: skip


def _parsed(metadata: Path) -> Element:
    size = metadata.stat().st_size
    if size > _LARGEST_METADATA:
        raise InputError(
            explain(metadata, expected="product metadata of less than 32 MB", found=f"{size / 2**20:.0f} MB", fix="Download the product again.")
        )  # fmt: skip
    try:
        return fromstring(metadata.read_bytes())
    except (ParseError, DefusedXmlException, LookupError, ValueError) as err:
        raise InputError(
            explain(metadata, expected="product metadata in XML", found=f"{type(err).__name__}: {err}", fix="Download the product again.")
        ) from err  # fmt: skip


def _images(folder: Path) -> tuple[dict[str, Path], Path | None]:
    """The finest file of each band, and of the scene classification; links out of the folder are left out."""
    inside = folder.resolve()
    finest: dict[str, tuple[int, Path]] = {}
    granules = sorted(p for p in folder.glob("GRANULE/*") if p.is_dir())
    if len(granules) > 1:
        raise InputError(
            explain(folder, expected="one granule (products since December 2016)", found=f"{len(granules)}",
                    fix="Give the band files of one granule, or a newer product.")
        )  # fmt: skip
    for path in sorted(folder.glob("GRANULE/*/IMG_DATA/**/*.jp2")):
        match = _IMAGE.search(path.name)
        if match is None or not path.is_file() or not path.resolve().is_relative_to(inside):
            continue
        name = "scl" if match["band"].upper() == "SCL" else optical_band(match["band"])
        metres = int(match["metres"] or 0)  # L1C has one file per band
        if name is not None and (name not in finest or metres < finest[name][0]):
            finest[name] = (metres, path)
    found = {name: path for name, (_, path) in finest.items()}
    scl = found.pop("scl", None)
    return found, scl


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(root: Element, name: str) -> str:
    """The text of the first element of that name, whatever its namespace."""
    for element in root.iter():
        if _local(element) == name and element.text:
            return element.text.strip()
    return ""


def _offset(root: Element, baseline: str, metadata: Path) -> int:
    """The offset that the metadata list per band, one for all; older products list none and have none."""
    listed = {
        (element.text or "").strip()
        for element in root.iter()
        if _local(element) in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
    }
    known = {"0": 0, "-1000": OFFSET}
    if len(listed) > 1 or not listed <= set(known):
        raise InputError(
            explain(metadata, expected="one offset of 0 or -1000 for all bands", found=", ".join(sorted(listed)), fix="Give the band files with --s2-offset.")
        )  # fmt: skip
    if listed:
        return known[listed.pop()]
    number = re.fullmatch(r"(\d\d)\.(\d\d)", baseline)
    if number is not None and 4 <= int(number[1]) < 99:
        raise InputError(
            explain(metadata, expected=f"an ADD_OFFSET, which processing baseline {baseline} has", found="none", fix="Download the product again.")
        )  # fmt: skip
    return 0


def _date(root: Element, folder: Path) -> str:
    for name in ("DATATAKE_SENSING_START", "PRODUCT_START_TIME"):
        found = re.match(r"\d{4}-\d\d-\d\d", _text(root, name))
        if found:
            return found[0]
    stamp = re.search(r"_(\d{4})(\d\d)(\d\d)T\d{6}", folder.name)
    return "-".join(stamp.groups()) if stamp else ""
