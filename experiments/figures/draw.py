"""The figures: terrain analysis, radar before and after, one registered tile, synthetic beside real."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from experiments.cells.pictures import image_panel, write_figure
from experiments.figures.contrast import tile_images
from experiments.figures.measures import local_contrast
from rsspade.baselines import ClassMeans
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.geo.sar import to_db, to_power
from rsspade.metrics import DISPLAY
from rsspade.models import RSSpade
from rsspade.report import colours
from rsspade.report.colours import Ramp
from rsspade.report.figures import landcover_legend, tile_line
from rsspade.report.panels import Line, Panel, panel_figure

__all__ = ["draw_pair", "draw_radar", "draw_synthetic", "draw_terrain", "roughest", "scene_mosaic"]

MOST_PIXELS = 1024
"""Beyond it a side of a scene is too large to be drawn as a whole; one of its tiles stands for it."""
LOOKS = 5
"""Pixels a side over which the radar's power is averaged."""
SIDE = 256 / 120
"""Of a panel, in inches: 256 pixels, two for each of a tile of 128."""


def roughest(dataset: DatasetFolder, rows: Sequence[TileRow]) -> TileRow:
    """The tile with the steepest slopes."""
    held = [row for row in rows if dataset.has("dem", row.tile)]
    return max(held, key=lambda row: (float(np.nanmean(dataset.read("dem", row.tile)[1])), row.tile))


def scene_mosaic(dataset: DatasetFolder, row: TileRow, name: str) -> np.ndarray:
    """A source of the tile's whole scene, (bands, H, W), empty where it has no tile; the tile alone where that is too large."""
    size, pixel = dataset.info.tile_size, dataset.info.pixel_size
    rows = [other for other in dataset.rows if other.scene == row.scene and dataset.has(name, other.tile)]
    west, north = min(r.x_min for r in rows), max(r.y_max for r in rows)
    places = [(round((north - r.y_max) / pixel), round((r.x_min - west) / pixel)) for r in rows]
    side = max(max(place) for place in places) + size
    tile = dataset.read(name, row.tile)
    if side > MOST_PIXELS:
        return np.asarray(tile)
    empty = dataset.source(name).nodata
    whole = np.full((len(tile), side, side), empty, tile.dtype)
    for other, (down, right) in zip(rows, places, strict=True):
        whole[:, down : down + size, right : right + size] = dataset.read(name, other.tile)
    return whole


def draw_terrain(path: Path, dataset: DatasetFolder, row: TileRow) -> None:
    """The paper's Fig. 1: elevation and what is derived from it."""
    line = Line(panels=_terrain_panels(scene_mosaic(dataset, row, "dem")), heading=f"Scene {row.scene}")
    write_figure(path, panel_figure([line], side=SIDE))


def _terrain_panels(terrain: np.ndarray) -> list[Panel]:
    elevation, slope, aspect, shade = terrain
    flat = np.where(aspect < 0, np.nan, aspect)
    heights = colours.relief_ramp(elevation)
    level = f"; grey: flat, {np.mean(aspect < 0):.0%}" if (aspect < 0).any() else ""
    return [
        Panel(title="Elevation", detail="metres", picture=heights.colours(elevation), ramp=heights),
        Panel(title="Slope", detail=f"mean {np.nanmean(slope):.1f}°", picture=colours.SLOPE.colours(slope), ramp=colours.SLOPE),
        Panel(title="Aspect", detail="where the slope looks to" + level, picture=colours.ASPECT.colours(flat), ramp=colours.ASPECT),
        Panel(title="Hillshade", detail="lit from north-west", picture=colours.HILLSHADE.colours(shade), ramp=colours.HILLSHADE),
    ]  # fmt: skip


def draw_radar(path: Path, dataset: DatasetFolder, row: TileRow) -> dict[str, float]:
    """The paper's Fig. 2: power as measured, then in decibels, then averaged against speckle; what the numbers say of it."""
    db = scene_mosaic(dataset, row, "s1")
    power = to_power(db[0], "db")
    averaged = ndimage.uniform_filter(np.nan_to_num(power), LOOKS)
    averaged[~np.isfinite(power)] = np.nan
    calm = to_db(averaged, "power")
    top = float(np.nanmax(power))
    linear, grey = Ramp(name="gray", low=0, high=top, ticks=(0, top / 2, top)), colours.radar_ramp("vv")
    found = {
        "power_middle_half": _middle_half(power, 0, top), "db_middle_half": _middle_half(db[0], grey.low, grey.high),
        "grain_db": _grain(db[0]), "grain_averaged_db": _grain(calm),
    }  # fmt: skip
    panels = [
        Panel(title="VV as measured, power", detail=f"half of the pixels in {found['power_middle_half']:.1%} of the range",
              picture=linear.colours(power), ramp=linear),
        Panel(title="VV in decibels", detail=f"half of the pixels in {found['db_middle_half']:.0%} of the range",
              picture=grey.colours(db[0]), ramp=grey),
        Panel(title=f"VV averaged over {LOOKS}×{LOOKS}, dB", detail=f"grain {found['grain_db']:.1f} → {found['grain_averaged_db']:.1f} dB",
              picture=grey.colours(calm), ramp=grey),
        Panel(title="VV, VH and their difference", detail="as rsspade show draws it", picture=colours.radar_colours(db)),
    ]  # fmt: skip
    write_figure(path, panel_figure([Line(panels=panels, heading=f"Scene {row.scene}", facts=row.s1_date)], side=SIDE))
    return found


def _middle_half(values: np.ndarray, low: float, high: float) -> float:
    """How much of a range the middle half of the values takes: how much of the grey scale a picture uses."""
    first, last = np.nanquantile(values, (0.25, 0.75))
    return float((last - first) / (high - low))


def _grain(db: np.ndarray) -> float:
    """Standard deviation in windows of 9×9, median: nearly all of it is speckle."""
    return float(np.nanmedian(local_contrast(db[None], np.isfinite(db))))


def draw_pair(path: Path, dataset: DatasetFolder, row: TileRow) -> None:
    """The paper's Fig. 3: all that a registered tile holds."""
    image, bands, radar = dataset.read("s2", row.tile), dataset.optical_bands, dataset.read("s1", row.tile)
    first = [
        image_panel("True colour", image, bands),
        image_panel("NIR, red, green", image, bands, false=True),
    ]
    for band, title in ((0, "vv"), (1, "vh")):
        ramp = colours.radar_ramp(title)
        first.append(Panel(title=f"Radar {title.upper()}", picture=ramp.colours(radar[band]), ramp=ramp))
    cover = colours.landcover_colours(dataset.read("lulc", row.tile)[0], dataset.scheme)
    first.append(Panel(title="Land cover", picture=cover))
    lines = [tile_line(row, first), Line(panels=_terrain_panels(dataset.read("dem", row.tile)))]
    write_figure(path, panel_figure(lines, side=SIDE, legend=landcover_legend(dataset, [row])))


def draw_synthetic(
    path: Path, dataset: DatasetFolder, model: RSSpade, means: ClassMeans, rows: Sequence[TileRow]
) -> None:
    """The paper's Fig. 6: synthetic beside real, in true and in false colour; beneath a title, the local contrast."""
    lines = list[Line]()
    for row in rows:
        images, panels = tile_images(dataset, model, means, row), list[Panel]()
        bands = model.info.architecture.optical_bands
        titles = {
            "real": ("Real RGB", "Real NRG"),
            "synthetic": ("Synthetic RGB", "Synthetic NRG"),
            "class_mean": ("Class mean RGB",),
        }
        shown = [(kind, title) for n in (0, 1) for kind, own in titles.items() for title in own[n : n + 1]]
        for kind, title in sorted(shown, key=lambda entry: entry[0] == "class_mean"):
            panel = image_panel(title, images[kind], bands, false=title.endswith("NRG"))
            panels.append(
                Panel(
                    title=title,
                    detail=f"local contrast {_contrast(images[kind]):.3f}",
                    picture=panel.picture,
                    absent=panel.absent,
                )
            )
        lines.append(tile_line(row, panels, with_titles=not lines))
    write_figure(path, panel_figure(lines, side=SIDE))


def _contrast(image: np.ndarray) -> float:
    valid = np.isfinite(image).all(axis=0)
    return float(np.nanmean(local_contrast(np.clip(image, 0, DISPLAY.highest) / DISPLAY.highest, valid)))
