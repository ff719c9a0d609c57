"""What the models cost beside each other: a training step, an inference, and where a step's time goes.

All in one run and by turns; what counts are the ratios. Steps are those of `train_gan.py` with its default losses,
discriminator included, on whole tiles of the built-in world.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from experiments.cells.timing import interleaved
from experiments.speed.plan import HEAVY, Preset
from experiments.speed.profile import where_time_goes
from rsspade.config import TrainingConfig
from rsspade.data.collate import collate_samples
from rsspade.models import GeneratorInfo, RSSpade, build_generator
from rsspade.options import read_options
from rsspade.training.loop import Run, training_steps
from rsspade.training.parts import Data, make_accelerator, make_architecture

__all__ = ["WORK", "Painter", "Trainer", "best_device", "measure_models", "training_config"]

WORK = ("training", "inference")


def best_device() -> torch.device:
    """Where `train_gan.py` would run; a torch that is built for GPUs may have none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def training_config(data: Path, out: Path, options: Mapping[str, Any], *, batch: int = 1) -> TrainingConfig:
    """The defaults of `train_gan.py`, read in this process."""
    fixed = {"data": data, "out": out, "steps": 10**6, "batch_size": batch, "tracker": "none", "loader.workers": 0}
    words = [word for name, value in {**fixed, **options}.items() for word in (f"--{name}", str(value))]
    return read_options(TrainingConfig, words)


class Painter:
    """A fresh generator as a user loads one; `__call__` makes images from all sources, in physical units."""

    def __init__(self, config: TrainingConfig, data: Data, *, batch: int = 1) -> None:
        architecture = make_architecture(config, data)
        info = GeneratorInfo(architecture=architecture, landcover_scheme=data.train.scheme.name)
        self.model = RSSpade(build_generator(architecture), info).to(best_device()).eval()
        tiles = collate_samples([data.train[n % len(data.train)] for n in range(batch)])
        self._sources, self._valid = tiles.sources, tiles.valid

    def __call__(self) -> None:
        """Paint a batch."""
        self.model(self._sources, valid=self._valid)


class Trainer:
    """A run under way; `__call__` makes one step: a batch forth and back, both networks, the average."""

    def __init__(self, config: TrainingConfig, data: Data) -> None:
        self.run = Run.build(config, make_accelerator(config, Path(config.out) / "events"), data)
        self._steps = training_steps(self.run)

    def __call__(self) -> None:
        """Train on a batch."""
        next(self._steps)


def measure_models(data: Path, preset: Preset) -> dict[str, Any]:
    """Seconds per image, times that of rs_spade, and the parts of a step."""
    seconds: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[str, dict[str, Any]] = {what: {} for what in WORK}
        for name, own in preset.models.items():
            config = training_config(data, Path(folder) / name, own, batch=preset.batch)
            tiles = Data(config, best_device())
            calls["training"][name] = Trainer(config, tiles)
            calls["inference"][name] = Painter(config, tiles, batch=preset.batch)
        for what, own in calls.items():
            times = interleaved(own, rounds=preset.rounds, turns=preset.model_turns)
            seconds[what] = {name: times.seconds(name) / preset.batch for name in own}
            ratios[what] = {name: times.ratio("rs_spade", name) for name in own if name != "rs_spade"}
        shares = {
            name: where_time_goes(call, steps=1 if name == HEAVY else preset.turns)
            for name, call in calls["training"].items()
        }
    return {
        "tile": preset.tile, "batch": preset.batch, "precision": preset.precision, "threads": torch.get_num_threads(),
        "seconds": seconds, "ratios": ratios, "shares": shares,
    }  # fmt: skip
