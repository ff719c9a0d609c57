"""A picture of tiles: one row per tile, one panel per way to look at it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.report import colours
from rsspade.report.panels import Colour, Line, Panel, figure_to_png, panel_figure
from rsspade.sources import CLOUD, UNLABELLED

__all__ = ["Panel", "figure_to_png", "landcover_legend", "tile_figure", "tile_line", "tile_panels"]


def tile_panels(dataset: DatasetFolder, row: TileRow, *, with_cloudy: bool) -> list[Panel]:
    """The panels of a tile, from left to right."""
    panels = [
        *_optical_panels(dataset, row),
        _radar_panel(dataset, row),
        _landcover_panel(dataset, row),
        _relief_panel(dataset, row),
    ]
    if with_cloudy:
        panels.insert(2, _cloudy_panel(dataset, row))
    return panels


def tile_figure(dataset: DatasetFolder, rows: Sequence[TileRow], more: Sequence[Sequence[Panel]] = ()) -> Figure:
    """Draw tiles below one another; `more` panels of each tile stand on a line beneath its own."""
    with_cloudy = any(dataset.has("s2_cloudy", row.tile) for row in rows)
    lines = []
    for i, row in enumerate(rows):
        lines.append(tile_line(row, tile_panels(dataset, row, with_cloudy=with_cloudy)))
        lines += [Line(panels=more[i])] if more else []
    return panel_figure(lines)


def tile_line(row: TileRow, panels: Sequence[Panel | None], *, with_titles: bool = True) -> Line:
    """Panels of a tile beneath its name and what is known about it."""
    facts = [f"scene {row.scene}", row.split]
    facts += [f"{name} {date}" for name, date in (("S2", row.s2_date), ("S1", row.s1_date)) if date]
    if row.synthetic:
        facts.append(f"synthetic, made from {row.parent or 'an unknown tile'}")
    return Line(panels=panels, heading=row.tile, facts="  ·  ".join(facts), with_titles=with_titles)


def _optical_panels(dataset: DatasetFolder, row: TileRow) -> list[Panel]:
    names = dataset.optical_bands
    true = Panel(title="True colour", detail=_true_colour_detail())
    false = Panel(
        title="False colour",
        detail="nir 0…{nir:g}, red 0…{red:g}, green 0…{green:g}".format_map(colours.FALSE_COLOUR_MAX),
    )
    if not dataset.has("s2", row.tile):
        return [true, false]
    image = dataset.read("s2", row.tile)
    holes = "; grey: no data" if not np.isfinite(image).all() else ""
    if holes:  # the long form and this would run into the next panel
        false = replace(false, detail="nir/red/green 0…{nir:g}/{red:g}/{green:g}".format_map(colours.FALSE_COLOUR_MAX))
    return [
        _with_picture(true, colours.true_colour(image, names), "needs red, green, blue", holes),
        _with_picture(false, colours.false_colour(image, names), "needs nir, red, green", holes),
    ]


def _cloudy_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    panel = Panel(title="Clouded", detail="as true colour")
    if not dataset.has("s2_cloudy", row.tile):
        return panel
    image = dataset.read("s2_cloudy", row.tile)
    told = ""
    if dataset.has("cloud", row.tile):
        mask = dataset.read("cloud", row.tile)[0]
        known = mask != CLOUD.nodata
        told = f"; {np.mean(mask[known] > 0):.0%} cloud or shadow" if known.any() else ""
    return _with_picture(panel, colours.true_colour(image, dataset.optical_bands), "needs red, green, blue", told)


def _radar_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    ranges = [f"{n.upper()} {low:g}…{high:g}" for n, (low, high) in colours.RADAR_RANGES_DB.items()]
    panel = Panel(title="Radar", detail=f"{', '.join(ranges)} dB".replace("-", "−"))
    if not dataset.has("s1", row.tile):
        return panel
    image = dataset.read("s1", row.tile)
    if not np.isfinite(image).all():  # all three ranges and this would run into the next panel
        panel = replace(panel, detail=f"{', '.join(ranges[:-1])} dB; grey: no data".replace("-", "−"))
    return _with_picture(panel, colours.radar_colours(image), "", "")


def _landcover_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    scheme = dataset.scheme
    if not dataset.has("lulc", row.tile):
        return Panel(title="Land cover", detail=scheme.title)
    classes = dataset.read("lulc", row.tile)[0]
    counts = np.bincount(classes.ravel(), minlength=256)
    present = sorted((c for c in scheme.classes if counts[c.id]), key=lambda c: -counts[c.id])
    legend: dict[str, Colour] = {
        f"{c.name.replace('_', ' ')} {_share(counts[c.id] / classes.size)}": c.colour for c in present
    }
    others = int(classes.size - counts[list(scheme.ids)].sum())
    if others:
        title = "unlabelled" if counts[UNLABELLED] == others else "unlabelled, unknown ids"
        legend[f"{title} {_share(others / classes.size)}"] = colours.NO_DATA
    return Panel(
        title="Land cover", detail=scheme.title, picture=colours.landcover_colours(classes, scheme), legend=legend
    )


def landcover_legend(dataset: DatasetFolder, rows: Sequence[TileRow]) -> dict[str, Colour]:
    """The classes of several tiles, the commonest first."""
    held = [dataset.read("lulc", row.tile).ravel() for row in rows if dataset.has("lulc", row.tile)]
    counts = np.bincount(np.concatenate(held), minlength=256) if held else np.zeros(256, int)
    present = sorted((c for c in dataset.scheme.classes if counts[c.id]), key=lambda c: -counts[c.id])
    return {c.name.replace("_", " "): c.colour for c in present}


def _relief_panel(dataset: DatasetFolder, row: TileRow) -> Panel:
    if not dataset.has("dem", row.tile):
        return Panel(title="Relief", detail="")
    terrain = dataset.read("dem", row.tile)
    heights = terrain[0][np.isfinite(terrain[0])]
    detail = f"elevation {heights.min():.0f}…{heights.max():.0f} m, lit from north-west" if heights.size else ""
    return Panel(title="Relief", detail=detail, picture=colours.relief_colours(terrain))


def _with_picture(panel: Panel, picture: np.ndarray | None, absent: str, more: str) -> Panel:
    detail = panel.detail + more if picture is not None else ""
    return Panel(title=panel.title, detail=detail, picture=picture, absent=absent or panel.absent, legend=panel.legend)


def _true_colour_detail() -> str:
    return f"reflectance 0…{colours.TRUE_COLOUR_MAX:g}, gamma {colours.GAMMA:g}"


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"
