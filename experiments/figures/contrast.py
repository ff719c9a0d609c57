"""The paper's claim, put to numbers: do synthetic images make weak contrasts visible? Over all test tiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from experiments.cells.pictures import class_mean_image
from experiments.cells.statistics import paired_difference
from experiments.figures.measures import MEASURES, distances, tile_measures
from rsspade.baselines import ClassMeans
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.errors import InputError, explain
from rsspade.metrics import DISPLAY
from rsspade.models import RSSpade
from rsspade.progress import progress_bar
from rsspade.report.answers import answer_tile

__all__ = ["KINDS", "TileMeasures", "compare_contrasts", "similar_classes", "summary"]

KINDS: Mapping[str, str] = {
    "real": "real", "synthetic": "synthetic", "class_mean": "class-mean image", "oracle": "oracle",
}  # fmt: skip
"""Image -> title. The oracle is the real image without fine texture and sensor noise (built-in world only)."""

SIMILAR = 1 / 3
"""Share of the pairs of classes, nearest mean spectra first, that are called similar."""

TileMeasures = dict[str, dict[str, float]]


def similar_classes(means: ClassMeans) -> list[tuple[int, int]]:
    """The pairs of classes whose mean spectra in the train split are nearest: chosen before any test tile is seen."""
    spectra = {c: DISPLAY.apply(means.spectra[c]).numpy() for c in range(len(means.pixels)) if int(means.pixels[c]) > 0}
    ranked = sorted(distances(spectra).items(), key=lambda item: item[1])
    return [pair for pair, _ in ranked[: max(round(SIMILAR * len(ranked)), 1)]]


def compare_contrasts(dataset: DatasetFolder, model: RSSpade, means: ClassMeans) -> dict[str, TileMeasures]:
    """Tile -> measure -> image -> value, of all test tiles with a clear image and land cover."""
    similar, found = similar_classes(means), dict[str, TileMeasures]()
    rows = [row for row in dataset.in_split("test") if dataset.has("s2", row.tile) and dataset.has("lulc", row.tile)]
    with progress_bar(total=len(rows), title="contrasts") as bar:
        for row in rows:
            images = tile_images(dataset, model, means, row)
            valid = np.isfinite(np.stack(list(images.values()))).all(axis=(0, 1))
            shown = {kind: DISPLAY.apply(torch.from_numpy(image)).numpy() for kind, image in images.items()}
            measured = tile_measures(shown, valid, dataset.read("lulc", row.tile)[0], similar)
            if measured:
                found[row.tile] = measured
            bar.update()
    return found


def tile_images(dataset: DatasetFolder, model: RSSpade, means: ClassMeans, row: TileRow) -> dict[str, np.ndarray]:
    """The images of a tile in the bands of the model, (C, H, W) reflectance."""
    answer = answer_tile(model, dataset, row)
    if answer.truth is None:
        raise InputError(
            explain(dataset.path, expected=f"the optical bands {', '.join(answer.bands)}, which the model makes",
                    found=", ".join(dataset.optical_bands), fix="Choose a dataset that has them.")
        )  # fmt: skip
    positions = [dataset.optical_bands.index(band) for band in answer.bands]
    images = {"real": answer.truth, "synthetic": answer.image}
    images["class_mean"] = class_mean_image(means, dataset, row)[positions]
    if "ORACLE" in dataset.info.sources and dataset.has("oracle", row.tile):
        images["oracle"] = dataset.read("oracle", row.tile)[positions]
    return images


def summary(dataset: DatasetFolder, found: Mapping[str, TileMeasures]) -> dict[str, Any]:
    """Measure -> image -> mean and spread over tiles, and the change against the real image.

    Tiles of a scene look alike, so that the interval of a change is taken over scenes, not over tiles.
    """
    scenes = {row.tile: row.scene for row in dataset.rows}
    out: dict[str, Any] = {}
    for measure in MEASURES:
        own = {tile: values[measure] for tile, values in found.items() if measure in values}
        if not own:
            continue
        kinds = [kind for kind in KINDS if all(kind in values for values in own.values())]
        out[measure] = {
            kind: {
                "mean": float(np.mean([values[kind] for values in own.values()])),
                "deviation": float(np.std([values[kind] for values in own.values()], ddof=1)) if len(own) > 1 else None,
                **({} if kind == "real" else _change(own, scenes, kind)),
            }
            for kind in kinds
        } | {"tiles": len(own)}
    return out


def _change(own: Mapping[str, Mapping[str, float]], scenes: Mapping[str, str], kind: str) -> dict[str, Any]:
    """Against the real image, as a share of it: mean over scenes, 95 % interval, p-value."""
    names = sorted({scenes[tile] for tile in own})
    shares = []
    for name in names:
        of_scene = [values for tile, values in own.items() if scenes[tile] == name]
        shares.append(sum(values[kind] for values in of_scene) / sum(values["real"] for values in of_scene) - 1)
    found = paired_difference(shares, [0.0] * len(shares))
    numbers = {"change": found.mean, "low": found.low, "high": found.high, "p_value": found.p_value}
    return {**{name: value if np.isfinite(value) else None for name, value in numbers.items()}, "scenes": len(names)}
