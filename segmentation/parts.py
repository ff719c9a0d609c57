"""What a segmentation run is built of: tiles, labels, the network and its optimizer."""

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from rsspade.channels import Scaling, encode, num_channels
from rsspade.data.augment import Augmentation
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import ConfigError, InputError, RSSpadeWarning, explain
from rsspade.landcover import Scheme
from rsspade.training.batches import Share
from rsspade.training.ema import Average
from rsspade.training.resume import digest
from rsspade.training.steps import make_optimizer
from segmentation.config import NetworkOptions, SegmentationConfig
from segmentation.labels import chosen_tiles, label_indices, labelled_tiles, open_tiles, seen_pixels
from segmentation.losses import class_weights
from segmentation.mixing import MixedOrder, MixedTiles, refuse_synthetic_set, refuse_synthetic_tiles
from segmentation.models.checkpoint import SegmenterInfo
from segmentation.models.config import SegmenterConfig, build_segmenter
from segmentation.models.smp_networks import MULTIPLE

__all__ = ["Batch", "Data", "Networks", "make_architecture", "to_device", "with_unseen_classes"]


_SYNTHETIC_SEED = 2**32


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A micro-batch as the network wants it.

    Attributes:
        inputs: Source -> (B, channels, H, W).
        labels: (B, H, W) class indices, `IGNORED` where there is no label or no image.
    """

    inputs: dict[str, Tensor]
    labels: Tensor


def to_device(
    sample: Sample, device: torch.device, *, sources: tuple[str, ...], scaling: Scaling, scheme: Scheme,
    channels_last: bool = False,
) -> Batch:  # fmt: skip
    """Move a collated sample to the device and make channels and class indices of it there."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    inputs, valid = {}, {}
    for name in sources:
        values = sample.optical if name == "s2" else sample.sources[name]
        mask = sample.optical_valid if name == "s2" else sample.valid[name]
        valid[name] = mask.to(device, non_blocking=True)
        channels = encode(name, values.to(device, non_blocking=True), valid[name], scaling=scaling)
        inputs[name] = channels.contiguous(memory_format=layout)
    ids = sample.sources["lulc"].to(device, non_blocking=True)
    return Batch(inputs=inputs, labels=label_indices(ids, scheme, seen_pixels(valid)))


class Data:
    """The tiles of a run.

    Attributes:
        folder: The real dataset.
        train: The training tiles, real ones first.
        order: Of the draws.
        real: Positions of the real tiles in use, among the training tiles of the dataset.
        class_pixels: (classes,) labelled pixels of these tiles; of a class that only synthetic tiles hold, their share.
        whole: The real training tiles as they are; `real` are positions in it too.
        val: Validation tiles as they are; None where there are none.
    """

    def __init__(self, config: SegmentationConfig, device: torch.device) -> None:
        options = config.loader
        moves = Augmentation(flips=options.flips, turns=options.turns)
        training = {"crop_size": options.crop_size, "augmentation": moves, "seed": config.seed}
        self.folder = DatasetFolder.open(config.data)
        refuse_synthetic_tiles(self.folder)
        tiles = open_tiles(self.folder, "train", config.sources, **training)
        usable = labelled_tiles(tiles)
        seed = config.seed if config.labels_seed is None else config.labels_seed
        self.real = usable[chosen_tiles([tiles.rows[n] for n in usable], config.labels, seed, by=config.labels_by)]
        self.scheme, self.optical_bands = tiles.scheme, tiles.optical_bands
        labels = tiles.packed.class_counts[tiles.numbers[self.real]]
        self.class_pixels, self._labels, self._images = labels[:, :-1].sum(axis=0), digest(labels.tolist()), ""
        self._refuse_single_class()
        missing = [name for name in config.sources if name != "s2" and not tiles.holding([name])[self.real].any()]
        if missing:
            raise InputError(
                explain(self.folder.path, expected=f"labelled training tiles with the source {missing[0]}", found="none",
                        fix="Choose with --sources from those that are there, or add the missing one.")
            )  # fmt: skip
        made, families = None, []
        if config.synthetic is not None:
            folder = DatasetFolder.open(config.synthetic)
            refuse_synthetic_set(self.folder, folder)
            # Another seed: a tile would be cropped and turned as its parent, and each label be seen twice.
            made = open_tiles(folder, "train", config.sources, **{**training, "seed": config.seed + _SYNTHETIC_SEED})
            self._images = digest([folder.info.made_by.get(key) for key in ("generator", "arguments")])
            families = _families(
                made, {tiles.rows[n].tile for n in self.real} if config.parents == "labelled" else None
            )
        elif config.ratio != 1 or config.parents != "all" or config.synthetic_until != 1:
            warnings.warn(
                "--ratio, --parents and --synthetic_until have no effect without --synthetic.",
                RSSpadeWarning,
                stacklevel=2,
            )
        self._warn_of_missing_classes(tiles, usable)
        chosen = [n for family in families for n in family]
        if made is not None:
            self.class_pixels = with_unseen_classes(
                self.class_pixels, made.packed.class_counts[made.numbers[chosen]][:, :-1].sum(axis=0)
            )
        self.train = MixedTiles(tiles, self.real.tolist(), made, chosen)
        first = len(self.real)
        starts = np.cumsum([first, *(len(family) for family in families)])
        self.order = MixedOrder(
            first, [range(start, start + len(family)) for start, family in zip(starts, families, strict=False)],
            ratio=config.ratio, seed=config.seed,
        )  # fmt: skip
        self.order.until = config.last_synthetic(self.order.num_draws)
        self.num_synthetic_tiles = len(chosen)
        self.whole = open_tiles(self.folder, "train", config.sources, random_crops=False)
        self.val = self._validation(config)
        spare = 0 if device.type == "cpu" else min(8, max((os.cpu_count() or 1) - 1, 1))
        self.workers = spare if options.workers is None else options.workers

    def _refuse_single_class(self) -> None:
        held = [name for name, pixels in zip(self.scheme.names, self.class_pixels, strict=True) if pixels]
        if len(held) < 2:
            raise InputError(
                explain(self.folder.path, expected="at least two classes in the training labels", found=", ".join(held),
                        fix="Add scenes with other classes, or use more labels.")
            )  # fmt: skip

    def _warn_of_missing_classes(self, tiles: TileDataset, usable: np.ndarray) -> None:
        every = tiles.packed.class_counts[tiles.numbers[usable]][:, :-1].sum(axis=0)
        lost = [n for n, own, all_ in zip(self.scheme.names, self.class_pixels, every, strict=True) if all_ and not own]
        if lost:
            warnings.warn(
                f"{', '.join(lost)}: no labelled pixel among the {len(self.real)} of {len(usable)} real training tiles in use "
                "(--labels, --labels_seed); what is learned of it, if anything, comes from synthetic tiles.",
                RSSpadeWarning, stacklevel=3,
            )  # fmt: skip

    def _validation(self, config: SegmentationConfig) -> TileDataset | None:
        try:
            tiles = open_tiles(self.folder, "val", config.sources, random_crops=False)
            labelled_tiles(tiles)
        except InputError as err:
            if "class ids" in str(err):
                raise
            warnings.warn(
                f"no validation, the last weights will be kept as the best: {err}", RSSpadeWarning, stacklevel=3
            )
            return None
        return tiles

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint says of the data it was trained on."""
        return {
            "split_sha256": str(self.folder.info.split.get("sha256", "")), "name": self.folder.info.name,
            "tiles": len(self.real), "synthetic_tiles": self.num_synthetic_tiles,
            "synthetic_per_epoch": self.order.num_synthetic, "labels": self._labels, "synthetic_images": self._images,
        }  # fmt: skip


def with_unseen_classes(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Pixels per class of the real tiles; of classes that they lack, as many as would be there by their share in the synthetic."""
    expected = np.rint(synthetic * (real.sum() / max(synthetic.sum(), 1))).astype(real.dtype)
    return np.where(real > 0, real, np.where(synthetic > 0, np.maximum(expected, 1), 0))


def _families(made: TileDataset, parents: set[str] | None) -> list[list[int]]:
    """The labelled synthetic tiles by parent, parents in order; of the given parents only, where any are given."""
    families: dict[str, list[int]] = {}
    for n in labelled_tiles(made).tolist():
        parent = getattr(made.rows[n], "parent", "")
        if parents is None or parent in parents:
            families.setdefault(parent, []).append(n)
    if not families:
        raise InputError(
            explain(f"--synthetic {made.path}", expected="labelled tiles of the parents in use", found="none",
                    fix="Generate them from the training tiles, or choose --parents all.")
        )  # fmt: skip
    return [families[parent] for parent in sorted(families)]


def make_architecture(config: SegmentationConfig, data: Data, share: Share) -> SegmenterConfig:
    """The network that the options and the dataset ask for; refuses options that do not fit together."""
    _refuse_single_pixel(config, data, share)
    options = config.network
    return SegmenterConfig(
        model=config.model, num_classes=len(data.scheme.classes),
        sources={name: num_channels(name, bands=data.optical_bands) for name in config.sources},
        base_width=options.base_width, depth=options.depth, encoder=options.encoder, stretch=options.stretch,
        leak=options.leak if config.model == "rs_unet" else 0.0,
    )  # fmt: skip


def _refuse_single_pixel(config: SegmentationConfig, data: Data, share: Share) -> None:
    """A norm needs two pixels at least, of one tile or of several; the deepest level may have one, and deeplabv3plus pools the image."""
    micro = share.batch_size // (share.processes * share.accumulate)
    height, width = data.whole.crop_shape  # where there are crops, they have 64 px at least
    deepest = 2**config.network.depth if config.model == "rs_unet" else MULTIPLE
    if micro * share.processes < 2 and (config.model == "deeplabv3plus" or max(height, width) <= deepest):
        raise ConfigError(
            explain("--batch_size", expected=f"at least 2 tiles in a micro-batch for {config.model} on {height}×{width} px, which normalises over them",
                    found=str(micro), fix="Choose a larger --batch_size or a smaller --accumulate.")
        )  # fmt: skip


def _warn_of_idle_options(config: SegmentationConfig) -> None:
    idle = ("encoder", "pretrained") if config.model == "rs_unet" else ("base_width", "depth", "leak")
    for name in idle:
        if getattr(config.network, name) != getattr(NetworkOptions(), name):
            warnings.warn(f"--network.{name} has no effect on {config.model}.", RSSpadeWarning, stacklevel=3)


@dataclass(kw_only=True)
class Networks:
    """The network of a run and its optimizer.

    Attributes:
        prepared: Wrapped where there are several processes.
        plain: The same weights without the wrapping.
        average: The averaged network; a copy where no average is asked for.
        optimizer: Of the network.
        weights: (classes,) of the losses; None where all pixels count alike.
        info: Everything that the network's folder will say of it.
    """

    prepared: nn.Module
    plain: nn.Module
    average: Average
    optimizer: Optimizer
    weights: Tensor | None
    info: SegmenterInfo

    @classmethod
    def build(
        cls, config: SegmentationConfig, data: Data, architecture: SegmenterConfig, accelerator: Accelerator
    ) -> "Networks":
        """Fresh weights from the seed, the same in every process, on the device, prepared."""
        _warn_of_idle_options(config)
        names = {"s2": data.optical_bands, "s1": ("vv", "vh"), "dem": ("elevation", "slope", "aspect", "hillshade")}
        numbers = class_weights(data.class_pixels, config.loss.class_power) if config.loss.class_power else np.ones(0)
        info = SegmenterInfo(
            architecture=architecture, bands={name: tuple(names[name]) for name in architecture.sources},
            landcover_scheme=data.scheme.name, pixel_size_m=data.folder.info.pixel_size,
            split_sha256=data.identity["split_sha256"], class_weights=tuple(numbers.tolist()),
        )  # fmt: skip
        torch.manual_seed(config.seed)  # before the weights are drawn: each process must draw the same
        network = build_segmenter(architecture, pretrained=config.network.pretrained).to(accelerator.device)
        if config.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weights = torch.tensor(numbers, dtype=torch.float32, device=accelerator.device) if len(numbers) else None
        return cls(
            prepared=accelerator.prepare(network), plain=network, average=Average(network, config.optimizer.ema_decay),
            optimizer=make_optimizer(network, config.lr, config.optimizer), weights=weights, info=info,
        )  # fmt: skip

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The weights by their name in a checkpoint."""
        return {"network": self.plain, "average": self.average.model}

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """By name."""
        return {"network": self.optimizer}
