"""Pictures for the page: arrays as data URLs, and the panels of a tile under one or more runs."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.report import colours
from rsspade.report.answers import Answer
from rsspade.report.figures import Panel, tile_panels

__all__ = ["PagePicture", "as_data_url", "input_pictures", "map_picture", "map_pictures", "optical_pictures"]

_LOSSLESS_SIDE = 256
_QUALITY = 90
_LARGEST_SIDE = 768  # twice the width at which the page shows it, for screens of double density


@dataclass(frozen=True, kw_only=True, slots=True)
class PagePicture:
    """One picture: `role` tells the page's script which it is."""

    title: str
    detail: str
    url: str
    alt: str
    width: int
    height: int
    role: str = ""
    absent: str = ""


def as_data_url(picture: np.ndarray) -> str:
    """(H, W, 3) in 0..1 -> WebP, as text for a page that must hold everything itself.

    Lossless up to 256 pixels a side: a reader compares single pixels, and must not take the marks of compression for
    errors of the generator. Larger tiles are shown smaller than they are, and would make a page of tens of megabytes:
    they are compressed, and beyond 768 pixels made smaller.
    """
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BOX)
    content = io.BytesIO()
    if max(picture.shape[:2]) <= _LOSSLESS_SIDE:
        image.save(content, "WEBP", lossless=True, method=4)
    else:
        image.save(content, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def optical_pictures(
    image: np.ndarray | None, bands: tuple[str, ...], *, what: str, role: str, tile: str
) -> list[PagePicture]:
    """True and false colour of one image."""
    views = [("True colour", "true", colours.true_colour), ("False colour", "false", colours.false_colour)]
    out = []
    for title, view, draw in views:
        picture = None if image is None else draw(image, bands)
        absent = "no clear image of this tile" if image is None else "needs other bands"
        out.append(
            _picture(title, "", picture, f"{title} of tile {tile}, {what}", role=f"{role}-{view}", absent=absent)
        )
    return out


def map_pictures(answer: Answer, *, run: str, tile: str) -> list[PagePicture]:
    """Error and spectral-angle maps of one answer."""
    if answer.error is None or answer.angle_deg is None:
        return []
    error, angle = float(np.nanmean(answer.error)), float(np.nanmean(answer.angle_deg))
    return [
        _picture("Error", f"mean {error:.4f}", colours.error_colours(answer.error),
                 f"Map of the absolute error of {run} in tile {tile}, mean {error:.4f} reflectance"),
        _picture("Spectral angle", f"mean {angle:.2f}°", colours.angle_colours(answer.angle_deg),
                 f"Map of the spectral angle between {run} and the real image in tile {tile}, mean {angle:.2f} degrees"),
    ]  # fmt: skip


def map_picture(title: str, picture: np.ndarray, alt: str, *, role: str = "") -> PagePicture:
    """One map."""
    return _picture(title, "", picture, alt, role=role)


def input_pictures(dataset: DatasetFolder, row: TileRow) -> list[PagePicture]:
    """What the generator could see."""
    with_cloudy = dataset.has("s2_cloudy", row.tile)
    panels: Mapping[str, Panel] = {p.title: p for p in tile_panels(dataset, row, with_cloudy=with_cloudy)}
    names = [n for n in ("Radar", "Land cover", "Relief", "Clouded") if n in panels]
    return [_picture(n, "", panels[n].picture, f"{n} of tile {row.tile}", absent=panels[n].absent) for n in names]


def _picture(
    title: str, detail: str, picture: np.ndarray | None, alt: str, *, role: str = "", absent: str = ""
) -> PagePicture:
    if picture is None:
        return PagePicture(title=title, detail=detail, url="", alt="", width=0, height=0, absent=absent)
    height, width = picture.shape[:2]
    return PagePicture(
        title=title, detail=detail, url=as_data_url(picture), alt=alt, width=width, height=height, role=role
    )
