"""One small generator per arm, with the losses of `train_gan.py` and the same steps for all."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsspade.channels import Scaling, num_channels
from rsspade.config import LossOptions, OptimizerOptions
from rsspade.data.manifest import DatasetFolder
from rsspade.data.sampling import TileSampler
from rsspade.data.torch_dataset import TileDataset
from rsspade.models import (
    DiscriminatorConfig,
    GeneratorConfig,
    build_discriminator,
    build_generator,
    num_stacked_channels,
    stack_conditions,
)
from rsspade.training import steps
from rsspade.training.batches import Batch, Share, StepSampler, hidden_sources, make_loader, to_device
from rsspade.training.schedule import set_learning_rate
from rsspade.training.variety import generate, step_noise, variety_loss

__all__ = ["ARMS", "NOISE_CHANNELS", "NOISE_INPUT", "Trained", "add_noise", "train"]

ARMS: dict[str, dict[str, float]] = {
    "noise input": {},
    "energy": {"energy": 1.0, "likelihood": 0.0},
    "energy + likelihood": {},
}
"""Arm -> the weights of its head's losses, where they are not those of `train_gan.py`."""

NOISE_INPUT = "noise input"
NOISE_CHANNELS = 4
_BATCH = 4
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """A generator in eval mode, and what it was trained on."""

    network: nn.Module
    config: GeneratorConfig
    tiles: TileDataset


def train(arm: str, data: DatasetFolder, *, num_steps: int, crop: int, width: int, seed: int) -> Trained:
    """Train one arm."""
    tiles = TileDataset(data, split="train", sources=("s1", "lulc", "dem"), crop_size=crop, seed=seed)
    sources = {name: num_channels(name, scheme=tiles.scheme) for name in tiles.sources}
    if arm == NOISE_INPUT:
        sources["noise"] = NOISE_CHANNELS
    torch.manual_seed(seed)
    config = GeneratorConfig(
        sources=sources, optical_bands=tiles.optical_bands, base_width=width, depth=4,
        variety_width=0 if arm == NOISE_INPUT else 16,
    )  # fmt: skip
    network = build_generator(config)
    seen = {name: count for name, count in sources.items() if name != "noise"}
    judge = build_discriminator(
        DiscriminatorConfig(condition_channels=num_stacked_channels(seen), optical_channels=len(tiles.optical_bands))
    )
    rates = {network: 2e-3, judge: 4e-4}
    optimizers = {net: steps.make_optimizer(net, rate, OptimizerOptions()) for net, rate in rates.items()}
    for step, batch in enumerate(_batches(tiles, num_steps, seed)):
        planes = stack_conditions(batch.conditions, batch.present, seen)  # the judge sees no noise
        batch = _with_noise(batch, arm, config, seed, step)
        fake, drawn = generate(network, batch)
        steps.total(steps.discriminator_losses(judge, planes, batch, fake, LossOptions())).backward()
        terms = steps.generator_losses(judge, planes, batch, fake, LossOptions(), Scaling())
        if drawn is not None:
            terms["variety"] = variety_loss(drawn, fake, batch, **ARMS[arm])
        steps.total(terms).backward()
        for net, optimizer in optimizers.items():
            set_learning_rate(optimizer, rates[net] * 0.5 * (1 + math.cos(math.pi * step / num_steps)))
            steps.move_weights(net, optimizer, clip_norm=None)
    return Trained(network.eval(), config, tiles)


def _batches(tiles: TileDataset, num_steps: int, seed: int) -> Iterator[Batch]:
    sampler = StepSampler(TileSampler(len(tiles), seed=seed), Share(batch_size=_BATCH), first=0, last=num_steps)
    for step, sample in enumerate(make_loader(tiles, sampler, workers=0, pin=False)):
        hidden = hidden_sources(step, batch_size=_BATCH, sources=tiles.sources, seed=seed, share=0.25)
        yield to_device(sample, _CPU, sources=tiles.sources, scaling=Scaling(), scheme=tiles.scheme, hidden=hidden)


def _with_noise(batch: Batch, arm: str, config: GeneratorConfig, seed: int, step: int) -> Batch:
    if arm == NOISE_INPUT:
        return add_noise(batch, torch.randn(len(batch.valid), NOISE_CHANNELS, *batch.valid.shape[-2:]))
    height, width = batch.valid.shape[-2:]
    noise = step_noise(seed, step, range(_BATCH), (height, width), depth=config.depth, device=_CPU)
    return dataclasses.replace(batch, noise=noise)


def add_noise(batch: Batch, noise: Tensor) -> Batch:
    """Noise as one more source, beside those that modulate."""
    return dataclasses.replace(
        batch, conditions=batch.conditions | {"noise": noise},
        present=batch.present | {"noise": torch.ones(len(noise), dtype=torch.bool)},
    )  # fmt: skip
