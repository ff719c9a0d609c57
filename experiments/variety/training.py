"""One small generator per arm: the loop of `train_gan.py`, with the one thing in it replaced that the arm is about."""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from rsspade.config import TrainingConfig
from rsspade.models import GeneratorConfig, build_generator
from rsspade.options import unflatten
from rsspade.training import loop, parts
from rsspade.training.batches import Batch
from rsspade.training.variety import variety_loss

__all__ = ["ARMS", "NOISE_CHANNELS", "NOISE_INPUT", "Trained", "add_noise", "train"]

ARMS: Mapping[str, Callable[..., Tensor]] = {
    "noise input": variety_loss,
    "energy": functools.partial(variety_loss, energy=1.0, likelihood=0.0),
    "energy + likelihood": variety_loss,
}
"""Arm -> the loss of its head; the first has none, and no use for one."""

NOISE_INPUT = "noise input"
NOISE_CHANNELS = 4


@dataclass(frozen=True)
class Trained:
    """A generator in eval mode, and what it is."""

    network: nn.Module
    config: GeneratorConfig


class NoiseInput(nn.Module):
    """A generator that has noise as one more source: fresh noise in training, that of the batch where it holds some."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        sources = {**config.sources, "noise": NOISE_CHANNELS}
        self.generator = build_generator(dataclasses.replace(config, sources=sources))

    def forward(
        self, conditions: Mapping[str, Tensor], present: Mapping[str, Tensor], when: Tensor | None = None
    ) -> Tensor:
        """The image."""
        if "noise" not in conditions:
            like = next(iter(conditions.values()))
            noise = torch.randn(len(like), NOISE_CHANNELS, *like.shape[-2:], device=like.device)
            conditions, present = _with_noise(conditions, present, noise)
        image: Tensor = self.generator(conditions, present, when)
        return image


def train(arm: str, data: Path, *, num_steps: int, crop: int, width: int, seed: int) -> Trained:
    """Train one arm."""
    with tempfile.TemporaryDirectory() as folder, _replaced(arm):
        options = {
            "data": str(data), "out": f"{folder}/run", "steps": num_steps, "batch_size": 4, "lr": 2e-3, "seed": seed, "tracker": "none",
            "loader.crop_size": crop, "loader.workers": 0, "generator.base_width": width, "generator.depth": 4,
            "generator.variety_width": 0 if arm == NOISE_INPUT else 16,
        }  # fmt: skip
        config = unflatten(TrainingConfig, options)
        accelerator = parts.make_accelerator(config, Path(folder) / "events")
        run = loop.Run.build(config, accelerator, parts.Data(config, accelerator.device))
        for _ in loop.training_steps(run):
            pass
    return Trained(run.networks.average.model.cpu().eval(), run.networks.info.architecture)


@contextlib.contextmanager
def _replaced(arm: str) -> Iterator[None]:
    build = NoiseInput if arm == NOISE_INPUT else build_generator
    with mock.patch.object(loop, "variety_loss", ARMS[arm]), mock.patch.object(parts, "build_generator", build):
        yield


def add_noise(batch: Batch, noise: Tensor) -> Batch:
    """Noise as one more source, beside those that modulate."""
    conditions, present = _with_noise(batch.conditions, batch.present, noise)
    return dataclasses.replace(batch, conditions=conditions, present=present)


def _with_noise(
    conditions: Mapping[str, Tensor], present: Mapping[str, Tensor], noise: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return {**conditions, "noise": noise}, {
        **present,
        "noise": torch.ones(len(noise), dtype=torch.bool, device=noise.device),
    }
