"""`python -m experiments.real_tiles.elevation --data DIR --out OUT`: what elevation that training has not seen costs.

Every generator of *leave one tile out* paints its tile once as it is, and once with elevation clipped to what its training
tiles held. Needs the trainings of `experiments.real_tiles` in OUT; prints a table and writes nothing.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from experiments.cells.results import add_options, open_workshop
from experiments.cells.runner import Workshop
from experiments.cells.tiles import Tiles
from experiments.real_tiles.plan import PRESETS, Preset, arms, folds
from rsspade.data.collate import collate_samples
from rsspade.data.manifest import DatasetFolder
from rsspade.data.readers import TerraMeshReader
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, RSSpadeError, explain
from rsspade.metrics import DISPLAY, psnr
from rsspade.models import RSSpade
from rsspade.sources import CONDITIONS


def main() -> int:
    """Print a row for each tile and arm; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.real_tiles.elevation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="as for experiments.real_tiles")
    add_options(parser)
    options = parser.parse_args()
    try:
        preset, reader = PRESETS[options.preset], TerraMeshReader(options.data)
        workshop = open_workshop(options)
        content = workshop.take_in(reader).path.name
        print(
            f"{'tile':16}{'generator':26}{'PSNR (dB)':>10}{'clipped':>10}{'gain':>8}   elevation here, in training (m)"
        )
        for fold in folds(preset, "leave_out", content, [row.tile for row in reader.rows]):
            _compare(workshop, preset, fold)
    except RSSpadeError as err:
        print(f"elevation: {' '.join(str(err).split())}", file=sys.stderr)
        return 2
    return 0


def _compare(workshop: Workshop, preset: Preset, fold: Tiles) -> None:
    low, high = _elevations(DatasetFolder.open(workshop.dataset(fold)))
    test = DatasetFolder.open(workshop.dataset(fold.test))
    here = _elevations(test)
    tiles = TileDataset(test, split="test", sources=CONDITIONS, random_crops=False)
    samples = [collate_samples([tiles[n]]) for n in range(len(tiles))]
    scores: dict[str, list[tuple[float, float]]] = {}
    for seed in preset.seeds:
        for arm, cell in arms(preset, fold, seed, CONDITIONS).items():
            weights = workshop.weights(cell)
            if not weights.is_dir():
                raise InputError(
                    explain(workshop.out, expected="the trainings of experiments.real_tiles", found=f"none of {arm}, seed {seed}",
                            fix="Run it with the same --out and --preset first.")
                )  # fmt: skip
            model = RSSpade.from_pretrained(weights)
            plain, clipped = (_score(model, samples, ends) for ends in ((-np.inf, np.inf), (low, high)))
            scores.setdefault(arm, []).append((plain, clipped))
    for arm, pairs in scores.items():
        plain, clipped = np.mean(pairs, axis=0)
        print(
            f"{fold.fold:16}{arm:26}{plain:10.2f}{clipped:10.2f}{clipped - plain:+8.2f}   "
            f"{here[0]:.0f} … {here[1]:.0f}, {low:.0f} … {high:.0f}"
        )


def _elevations(dataset: DatasetFolder) -> tuple[float, float]:
    planes = [dataset.read("dem", row.tile)[0] for row in dataset.rows]
    return float(min(np.nanmin(plane) for plane in planes)), float(max(np.nanmax(plane) for plane in planes))


def _score(model: RSSpade, samples: list[Sample], ends: tuple[float, float]) -> float:
    """Mean PSNR of the blocks; only their pixels are valid in a window."""
    found = []
    for sample in samples:
        given: Mapping[str, torch.Tensor] = {name: values.clone() for name, values in sample.sources.items()}
        given["dem"][:, 0].clamp_(*ends)
        image = model(given, valid=sample.valid)
        found.append(float(psnr(DISPLAY.apply(image), DISPLAY.apply(sample.optical), sample.optical_valid)))
    return float(np.mean(found))


if __name__ == "__main__":
    sys.exit(main())
