"""What Mix learns from: real tiles beside synthetic ones without and with residuals, drawn, and measured.

Measured is what made plain synthetic images too easy: how far apart classes stand (d', the distance of two classes' means in
units of their spread, over the bands, in logarithms of reflectance), and how rough each class is (mean difference of
neighbouring pixels of the class, as a share of its mean, in the third band).
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cells.pictures import image_panel, telling_tiles, write_figure
from experiments.cells.runner import Workshop
from experiments.cells.tables import table
from experiments.table3_augmentation.plan import Preset, arms
from rsspade.data.manifest import DatasetFolder
from rsspade.report.figures import tile_line
from rsspade.report.panels import Line, panel_figure
from rsspade.sources import UNLABELLED

__all__ = ["describe_images", "draw_images", "image_sets", "measure_images"]

TILES = 4
SIDE = 1.8
"""Of a panel, in inches."""
MEASURED = 128
"""Tiles."""
FEWEST = 300
"""Pixels of a class that is measured."""
HARDEST = 6
"""Pairs of classes that are shown: those that are nearest to each other in real images."""


def image_sets(workshop: Workshop, preset: Preset) -> dict[str, DatasetFolder]:
    """The real dataset and those of the first seed's generator of all tiles; empty where they have not been made here."""
    seed = preset.seeds[0]
    made = {
        "plain": arms(preset, seed, "images")["plain all"].synthetic,
        "with residuals": arms(preset, seed, "core")["mix all"].synthetic,
    }
    folders = {title: workshop.out / "synthetic" / one.key for title, one in made.items() if one is not None}
    if not all(folder.is_dir() for folder in folders.values()):
        return {}
    real = DatasetFolder.open(workshop.dataset(preset.world))
    return {"real": real} | {title: DatasetFolder.open(folder) for title, folder in folders.items()}


def draw_images(path: Path, sets: Mapping[str, DatasetFolder]) -> bool:
    """Training tiles, side by side; False where there is nothing to draw."""
    if not sets:
        print(f"{path.name}: not drawn, the images were made elsewhere")
        return False
    lines = list[Line]()
    for row in telling_tiles(sets["real"], "train", TILES):
        bands = sets["real"].optical_bands
        panels = [image_panel(title, folder.read("s2", row.tile), bands) for title, folder in sets.items()]
        lines.append(tile_line(row, panels, with_titles=not lines))
    write_figure(path, panel_figure(lines, side=SIDE))
    return True


def measure_images(sets: Mapping[str, DatasetFolder]) -> dict[str, Any]:
    """Distances of pairs of classes and roughness of classes, by kind of image, over training tiles spread over the world."""
    if not sets:
        return {}
    real = sets["real"]
    rows = real.in_split("train")
    rows = rows[:: max(len(rows) // MEASURED, 1)]
    classes = np.stack([real.read("lulc", row.tile)[0] for row in rows])
    found: dict[str, Any] = {"tiles": len(rows), "distance": {}, "roughness": {}}
    for title, folder in sets.items():
        images = np.stack([folder.read("s2", row.tile) for row in rows]).astype(np.float64)
        found["distance"][title] = _distances(images, classes, real)
        found["roughness"][title] = _roughness(images, classes, real)
    return found


def describe_images(found: Mapping[str, Any]) -> str:
    """Two tables."""
    if not found:
        return ""
    kinds, real = list(found["distance"]), found["distance"]["real"]
    near = sorted(real, key=real.__getitem__)[:HARDEST]
    pairs = [[name, *(f"{found['distance'][kind][name]:.2f}" for kind in kinds)] for name in near]
    rough = found["roughness"]
    rows = [[name, *(f"{rough[kind][name]:.1%}" for kind in kinds)] for name in rough["real"]]
    text = (
        f"On {found['tiles']} training tiles, first seed, generator of all tiles. How far apart stand the classes that are nearest in real images "
        "(difference of means in units of spread, logarithms of reflectance, all bands)?\n\n"
    )
    more = "\nHow rough is each class (mean difference of neighbouring pixels as a share of the class's mean, third band)?\n\n"
    return (
        "## What the images are like\n\n"
        + text
        + table(["classes", *kinds], pairs)
        + more
        + table(["class", *kinds], rows)
    )


def _distances(images: np.ndarray, classes: np.ndarray, folder: DatasetFolder) -> dict[str, float]:
    values = np.log(np.maximum(images, 1e-3)).transpose(0, 2, 3, 1)
    means, spreads = {}, {}
    for c in folder.scheme.classes:
        own = values[classes == c.id]
        if len(own) >= FEWEST:
            means[c.name], spreads[c.name] = own.mean(axis=0), np.cov(own.T)
    return {
        f"{one} – {other}": _distance(means[one] - means[other], (spreads[one] + spreads[other]) / 2)
        for one, other in itertools.combinations(means, 2)
    }


def _distance(gap: np.ndarray, spread: np.ndarray) -> float:
    return round(float(np.sqrt(gap @ np.linalg.solve(spread, gap))), 4)


def _roughness(images: np.ndarray, classes: np.ndarray, folder: DatasetFolder) -> dict[str, float]:
    band = images[:, min(2, images.shape[1] - 1)]
    inside = (classes[:, :, 1:] == classes[:, :, :-1]) & (classes[:, :, 1:] != UNLABELLED)
    steps, mean = np.abs(np.diff(band, axis=2)), (band[:, :, 1:] + band[:, :, :-1]) / 2
    found = {}
    for c in folder.scheme.classes:
        own = inside & (classes[:, :, 1:] == c.id)
        if own.sum() >= FEWEST:
            found[c.name] = round(float(steps[own].mean() / mean[own].mean()), 5)
    return found
