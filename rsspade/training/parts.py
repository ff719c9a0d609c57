"""What a run is built of: datasets, networks, optimizers; everything that the loop then only moves."""

import math
import os
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration
from filelock import FileLock
from torch import nn
from torch.optim import Optimizer

from rsspade.channels import Scaling, num_channels, num_when
from rsspade.config import GeneratorOptions, TrainingConfig
from rsspade.data.augment import Augmentation
from rsspade.data.manifest import DatasetFolder
from rsspade.data.sampling import TileSampler, tile_weights
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import ConfigError, InputError, RSSpadeWarning, explain
from rsspade.models import (
    DiscriminatorConfig,
    GeneratorConfig,
    build_discriminator,
    build_generator,
    num_stacked_channels,
)
from rsspade.models.checkpoint import GeneratorInfo
from rsspade.models.discriminator import most_halvings
from rsspade.training.batches import Share
from rsspade.training.contract import RunOptions
from rsspade.training.ema import Average
from rsspade.training.resume import digest
from rsspade.training.run_folder import RunFolder
from rsspade.training.start import Start
from rsspade.training.steps import make_optimizer

__all__ = ["Data", "Networks", "make_accelerator", "make_architecture", "make_info", "make_share", "take_folder"]

_USED_BY = {
    "embedding_width": ("rs_spade", "control"), "full_width": ("rs_spade", "control"),
    "hidden_width": ("spade",),
}  # fmt: skip


def make_accelerator(config: RunOptions, events: Path) -> Accelerator:
    """Device, precision, processes and tracker; refuses a tracker that is not installed."""
    _refuse_missing_tracker(config.tracker)
    accelerator = Accelerator(
        # Told so, accelerate lets processes without a GPU work together; otherwise each would train by itself.
        cpu=not torch.accelerator.is_available(),
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        gradient_accumulation_steps=config.accumulate,
        log_with=None if config.tracker == "none" else config.tracker,
        project_config=ProjectConfiguration(project_dir=str(events.parent), logging_dir=str(events)),
        # Norms synchronise their statistics themselves; copying buffers between forward and backward would break
        # the graph of a network that is called twice.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
    if accelerator.num_processes == 1 and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        warnings.warn(
            "accelerate was asked for several processes and has started one: without GPUs it starts more only where "
            "--multi_gpu is named, on CPUs too. Say: accelerate launch --multi_gpu --num_processes N …",
            RSSpadeWarning,
            stacklevel=2,
        )
    return accelerator


def _refuse_missing_tracker(name: str) -> None:
    # accelerate leaves it out without a word.
    if name != "none" and name not in map(str, get_available_trackers()):
        raise ConfigError(
            explain("--tracker", expected="a tracker that is installed", found=name,
                    fix=f"Run `pip install {name}`, or choose another.")
        )  # fmt: skip


def make_share(config: RunOptions, accelerator: Accelerator) -> Share:
    """This process's part of each batch."""
    parts = accelerator.num_processes * config.accumulate
    if config.batch_size % parts:
        raise ConfigError(
            explain("--batch_size", expected=f"a multiple of {parts} ({accelerator.num_processes} processes × {config.accumulate} micro-batches)",
                    found=str(config.batch_size), fix="It counts the tiles of a step over all of them.")
        )  # fmt: skip
    return Share(
        batch_size=config.batch_size,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
        accumulate=config.accumulate,
    )


def take_folder(folder: RunFolder, config: RunOptions, accelerator: Accelerator) -> FileLock | None:
    """Keep other runs out of the folder, and refuse one that holds another run; the main process gets the lock."""
    lock = None
    if accelerator.is_main_process:
        lock = folder.lock()
        folder.claim(config)
    accelerator.wait_for_everyone()
    return lock


class Data:
    """The tiles of a run.

    Attributes:
        folder: The dataset.
        train: Its training tiles, cropped, flipped and turned.
        val: Its validation tiles as they are; None where there are none.
        order: Of the training tiles.
        workers: Reading processes.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        options = config.loader
        self.folder = DatasetFolder.open(config.data)
        moves = Augmentation(flips=options.flips, turns=options.turns, turn_directions=options.turn_directions)
        self.train = TileDataset(
            self.folder,
            split="train",
            sources=config.sources,
            crop_size=options.crop_size,
            augmentation=moves,
            seed=config.seed,
            with_sun=config.sun,
        )
        self._refuse_sources_never_seen()
        self.val = self._validation(config)
        self._warn_of_nothing_to_tell(config)
        weights = None
        if options.rare_classes > 0:
            self._warn_of_no_classes()
            weights = tile_weights(self.train.packed, self.train.numbers, rare_classes=options.rare_classes)
        self.order = TileSampler(len(self.train), seed=config.seed, weights=weights)
        spare = 0 if device.type == "cpu" else min(8, max((os.cpu_count() or 1) - 1, 1))
        self.workers = spare if options.workers is None else options.workers

    def _refuse_sources_never_seen(self) -> None:
        held = [name for name in self.train.sources if self.train.holding([name]).any()]
        missing = [name for name in self.train.sources if name not in held]
        if missing:
            raise InputError(
                explain(self.folder.path, expected=f"training tiles with a clear image and the source {missing[0]}",
                        found=", ".join(held) or "none of the sources",
                        fix="Choose with --sources from those that are there, or add the missing one.")
            )  # fmt: skip

    def _warn_of_nothing_to_tell(self, config: TrainingConfig) -> None:
        days, heights = self.train.days, [elevation for _, elevation in self.train.suns]
        for name, asked, values in (("season", config.season, days), ("sun", config.sun, heights)):
            if asked and all(map(math.isnan, values)):
                warnings.warn(
                    f"--{name} has no effect: {config.data} tells of no training tile when its image was taken.",
                    RSSpadeWarning, stacklevel=3,
                )  # fmt: skip

    def _warn_of_no_classes(self) -> None:
        if not self.train.packed.class_counts[self.train.numbers, :-1].any():
            warnings.warn(
                f"--loader.rare_classes has no class to favour: no training tile of {self.folder.path} holds land cover.",
                RSSpadeWarning, stacklevel=3,
            )  # fmt: skip

    def _validation(self, config: TrainingConfig) -> TileDataset | None:
        try:
            return TileDataset(
                self.folder, split="val", sources=config.sources, random_crops=False, with_sun=config.sun
            )
        except InputError as err:
            warnings.warn(
                f"no validation, the last weights will be kept as the best: {err}", RSSpadeWarning, stacklevel=3
            )
            return None

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint says of the data it was trained on."""
        return {
            "split_sha256": str(self.folder.info.split.get("sha256", "")),
            "name": self.folder.info.name,
            "tiles": len(self.train),
            "labels": digest(self.train.packed.class_counts[self.train.numbers].tolist()),
        }


@dataclass(kw_only=True)
class Networks:
    """The networks of a run and their optimizers.

    Attributes:
        generator: As prepared: wrapped where there are several processes.
        discriminator: As prepared; None where no loss asks for one.
        plain_generator: The same weights without the wrapping.
        plain_discriminator: The same weights without the wrapping.
        average: The averaged generator.
        optimizers: Of the generator and, where there is one, the discriminator.
        info: Everything that the generator's folder will say of it.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    plain_generator: nn.Module
    plain_discriminator: nn.Module | None
    average: Average
    optimizers: dict[str, Optimizer]
    info: GeneratorInfo

    @classmethod
    def build(
        cls, config: TrainingConfig, info: GeneratorInfo, accelerator: Accelerator, start: Start | None = None
    ) -> "Networks":
        """Fresh weights from the seed, or another run's generator, the same in every process, on the device, prepared."""
        architecture = info.architecture
        _warn_of_idle_options(config)
        torch.manual_seed(config.seed)  # before the weights are drawn: each process must draw the same
        generator = build_generator(architecture)
        if start is not None:
            start.put_into(generator)
        discriminator = None
        if config.loss.needs_discriminator:
            planes = num_stacked_channels(architecture.sources, when_channels=num_when(architecture.told))
            discriminator = build_discriminator(_judge(config, planes, len(architecture.optical_bands)))
        networks = [n.to(accelerator.device) for n in (generator, discriminator) if n is not None]
        if config.channels_last:
            networks = [n.to(memory_format=torch.channels_last) for n in networks]  # type: ignore[call-overload]
        average = Average(generator, config.optimizer.ema_decay)
        if config.compile:
            for network in networks:
                network.compile()
        prepared = [accelerator.prepare(network) for network in networks]
        rates = {"generator": config.lr, "discriminator": config.lr * config.optimizer.discriminator_lr}
        return cls(
            generator=prepared[0], discriminator=prepared[1] if discriminator is not None else None,
            plain_generator=generator, plain_discriminator=discriminator, average=average, info=info,
            optimizers={name: make_optimizer(network, rates[name], config.optimizer) for name, network in zip(rates, networks, strict=False)},
        )  # fmt: skip

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The weights by their name in a checkpoint."""
        judge = {} if self.plain_discriminator is None else {"discriminator": self.plain_discriminator}
        return {"generator": self.plain_generator, "average": self.average.model, **judge}

    @property
    def prepared(self) -> list[nn.Module]:
        """Those that there are."""
        return [n for n in (self.generator, self.discriminator) if n is not None]


def make_architecture(config: TrainingConfig, data: Data) -> GeneratorConfig:
    """The generator that the options and the dataset ask for; refuses options that do not fit together."""
    _refuse_single_pixel(config, data)
    _refuse_deep_discriminator(config, data)
    options = {f.name: getattr(config.generator, f.name) for f in fields(GeneratorOptions)}
    return GeneratorConfig(
        **options | {"modulate": config.generator.modulated}, model=config.model, season=config.season, sun=config.sun,
        optical_bands=data.train.optical_bands,
        sources={name: num_channels(name, scheme=data.train.scheme) for name in data.train.sources},
    )  # fmt: skip


def make_info(config: TrainingConfig, data: Data) -> GeneratorInfo:
    """Everything that the generator's folder will say of it, but for its training; refuses as `make_architecture`."""
    return GeneratorInfo(
        architecture=make_architecture(config, data), scaling=Scaling(), landcover_scheme=data.train.scheme.name,
        pixel_size_m=data.folder.info.pixel_size, split_sha256=data.identity["split_sha256"],
    )  # fmt: skip


def _refuse_single_pixel(config: TrainingConfig, data: Data) -> None:
    """The norms of spade's deepest level need two pixels at least, of one tile or of several."""
    depth, size = config.generator.depth, data.train.crop_shape
    if config.model == "spade" and config.batch_size == config.accumulate and max(size) <= 2**depth:
        raise ConfigError(
            explain("--generator.depth", expected=f"at most {(max(size) - 1).bit_length() - 1} for one tile of {size[0]}×{size[1]} px at a time",
                    found=str(depth), fix="Lower it, or take more tiles with --batch_size.")
        )  # fmt: skip


def _refuse_deep_discriminator(config: TrainingConfig, data: Data) -> None:
    options, size = config.discriminator, data.train.crop_shape
    most = most_halvings(min(size)) + 1  # the first scale sees the image as it is
    if config.loss.needs_discriminator and options.layers + options.scales > most:
        raise ConfigError(
            explain("--discriminator.layers and --discriminator.scales", expected=f"at most {most} together for tiles of {size[0]}×{size[1]} px",
                    found=f"{options.layers} and {options.scales}", fix="Lower one of them, or train on larger tiles.")
        )  # fmt: skip


def _judge(config: TrainingConfig, planes: int, bands: int) -> DiscriminatorConfig:
    options = config.discriminator
    return DiscriminatorConfig(
        condition_channels=planes, optical_channels=bands, base_width=options.base_width, layers=options.layers,
        scales=options.scales, norm=options.norm,
    )  # fmt: skip


def _warn_of_idle_options(config: TrainingConfig) -> None:
    for name, models in _USED_BY.items():
        if config.model not in models and getattr(config.generator, name) != getattr(GeneratorOptions(), name):
            warnings.warn(
                f"--generator.{name} has no effect on {config.model}; it is an option of {' and '.join(models)}.",
                RSSpadeWarning,
                stacklevel=3,
            )
