"""What a segmentation run is made of: every option of `segmentation.train`, typed, frozen and checked when it is built."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rsspade.errors import ConfigError, explain

__all__ = ["SOURCES", "LoaderOptions", "LossOptions", "NetworkOptions", "OptimizerOptions", "SegmentationConfig"]

SOURCES = ("s2", "s1", "dem")
"""What a network may see, in the order of its channels; land cover is what it shall find."""

DEFAULT_EPOCHS = 50

LEAST_APART = 100
"""Steps between two checkpoints where nothing else is asked for: with few tiles an epoch is shorter than it takes to save."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """The network; how many bands and classes it has follows from the dataset.

    Attributes:
        base_width: Features of rs_unet at full resolution; twice as many at each level below.
        depth: How many times rs_unet halves the resolution, 2 to 5.
        encoder: Of the other models, by its name in segmentation_models_pytorch.
        pretrained: Weights that this encoder begins with, such as imagenet; they are downloaded. None for random ones.
        stretch: What happens to reflectance before the first layer: `log` tells dark covers apart, which most are.
        leak: Slope of rs_unet's rectifiers below zero; with 0, a high learning rate can switch whole levels off for good.
    """

    base_width: int = 32
    depth: int = 5
    encoder: str = "resnet18"
    pretrained: str | None = None
    stretch: Literal["none", "log"] = "log"
    leak: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class LossOptions:
    """The weight of each loss; 0 turns it off.

    Without weights of the classes and without Dice, rare classes are learned last: a short training does not draw them.

    Attributes:
        cross_entropy: Weight of the cross-entropy.
        dice: Weight of 1 − Dice, each class of an image alike.
        focal: Weight of the focal loss.
        gamma: How strongly the focal loss turns away from what is already right.
        class_power: Weight of a class by its share of the training labels, to minus this power; 0 weighs pixels alike, 1 classes.
            Predictions are corrected for it.
        auxiliary: Weight of the cross-entropy of inner layers, where a model has such.
    """

    cross_entropy: float = 1.0
    dice: float = 0.5
    focal: float = 0.0
    gamma: float = 2.0
    class_power: float = 0.5
    auxiliary: float = 0.4

    def __post_init__(self) -> None:
        for name in ("cross_entropy", "dice", "focal", "gamma", "class_power", "auxiliary"):
            _at_least(f"loss.{name}", getattr(self, name), 0)
        if not self.cross_entropy + self.dice + self.focal:
            raise _impossible(
                "loss", "a loss with a weight above 0", "none", "Raise one, such as --loss.cross_entropy 1."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerOptions:
    """How the weights move.

    Attributes:
        name: The optimizer.
        beta1: Decay of the mean gradient (momentum of sgd).
        beta2: Decay of the mean squared gradient.
        weight_decay: Decoupled (adamw), or added to the gradient.
        schedule: How the learning rate falls, over all steps, to 0.
        warmup: Steps in which it rises from 0.
        clip_norm: Longest gradient, against leaps of the loss; none for any.
        ema_decay: Of the averaged network, which is then the one that is validated and kept; 0 for no average.
        norm_tiles: Real training tiles over which the norms of that network are measured anew before it is validated or kept;
            0 for the running averages of the last batches.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: int = 0
    clip_norm: float | None = 1.0
    ema_decay: float = 0.0
    norm_tiles: int = 256

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise _impossible(
                    f"--optimizer.{name}", "0 ≤ value < 1", f"{getattr(self, name):g}", "Correct the value."
                )
        for name in ("weight_decay", "warmup", "norm_tiles"):
            _at_least(f"optimizer.{name}", getattr(self, name), 0)
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise _impossible(
                "--optimizer.clip_norm", "a number above 0, or none", f"{self.clip_norm:g}", "Correct the value."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderOptions:
    """How tiles reach the model.

    Attributes:
        crop_size: Side of the training crops in pixels; none for whole tiles.
        flips: Mirror tiles at random.
        turns: Turn tiles by quarters at random.
        workers: Reading processes; none for 0 without a GPU and up to 8 with one.
    """

    crop_size: int | None = None
    flips: bool = True
    turns: bool = True
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None:
            _at_least("loader.crop_size", self.crop_size, 64)
        if self.workers is not None:
            _at_least("loader.workers", self.workers, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationConfig:
    """A training run.

    Attributes:
        data: The dataset folder, real tiles only.
        out: The run folder.
        synthetic: A dataset that `rsspade generate` made from --data; none to train on real tiles alone.
        ratio: Synthetic tiles per real one in an epoch; each epoch draws anew which, where there are more.
        synthetic_until: Share of the steps in which synthetic tiles are mixed in; the last ones see real tiles alone.
        parents: Synthetic tiles of all training tiles, or only of the labelled ones that --labels leaves.
        labels: Share of the real training tiles that are used; a smaller share is a part of any larger one.
        labels_by: Whether that share is one of single tiles, out of all scenes, or of whole scenes.
        labels_seed: Of that choice; none for --seed.
        model: The network.
        sources: What it sees, out of s2, s1 and dem.
        epochs: How often each real training tile is seen; 0 for 50, or for what --steps says.
        steps: Optimizer steps instead of epochs; 0 for what --epochs says.
        batch_size: Tiles per step, over all processes and micro-batches together.
        lr: Learning rate.
        seed: Of weights, order and crops.
        eval_every: Steps between two validations; 0 for one per epoch. There is always one at the end.
        save_every: Steps between two checkpoints; 0 for an epoch, or as many as make 100 steps. There is always one at the end.
        patience: Stop after so many validations without a better mIoU; none for never.
        resume: Continue the last good checkpoint of the run folder, if there is one.
        resume_from: Continue this folder of the run's `checkpoints/`, such as step_00000400, and no other.
        accumulate: Micro-batches per step, where a batch does not fit into memory.
        precision: Of the arithmetic; weights are always fp32.
        channels_last: Keep images channels-last in memory, usually faster.
        log_every: Steps between two lines of metrics.jsonl.
        keep_checkpoints: How many full checkpoints stay.
        sample_tiles: Validation tiles in each picture of samples/; 0 for no pictures.
        tracker: Who draws the curves, beside metrics.jsonl.
        network: Its options.
        loss: Weights.
        optimizer: Its options.
        loader: Its options.
    """

    same_run: ClassVar[frozenset[str]] = frozenset({
        "data", "synthetic", "out", "resume", "resume_from", "save_every", "keep_checkpoints", "loader.workers", "tracker",
        "log_every", "patience", "sample_tiles",
    })  # fmt: skip
    once: ClassVar[Mapping[str, object]] = {"network.stretch": "none", "network.leak": 0.0}

    data: str
    out: str
    synthetic: str | None = None
    ratio: float = 1.0
    synthetic_until: float = 1.0
    parents: Literal["all", "labelled"] = "all"
    labels: float = 1.0
    labels_by: Literal["tile", "scene"] = "tile"
    labels_seed: int | None = None
    model: Literal["rs_unet", "unet", "deeplabv3plus", "fpn", "segformer"] = "rs_unet"
    sources: tuple[str, ...] = ("s2",)
    epochs: int = 0
    steps: int = 0
    batch_size: int = 16
    lr: float = 1e-3
    seed: int = 0
    eval_every: int = 0
    save_every: int = 0
    patience: int | None = None
    resume: bool = False
    resume_from: str | None = None
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    log_every: int = 50
    keep_checkpoints: int = 2
    sample_tiles: int = 4
    tracker: Literal["tensorboard", "wandb", "mlflow", "none"] = "tensorboard"
    network: NetworkOptions = field(default_factory=NetworkOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    loader: LoaderOptions = field(default_factory=LoaderOptions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", _parse_sources(self.sources))
        for name in ("batch_size", "accumulate", "log_every", "keep_checkpoints"):
            _at_least(name, getattr(self, name), 1)
        for name in ("seed", "epochs", "steps", "eval_every", "save_every", "sample_tiles"):
            _at_least(name, getattr(self, name), 0)
        for name in ("labels_seed", "patience"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 0 if name == "labels_seed" else 1)
        for name in ("lr", "ratio"):
            if not 0 < getattr(self, name) < math.inf:
                raise _impossible(f"--{name}", "a number above 0", f"{getattr(self, name):g}", "Correct the value.")
        if not 0 < self.synthetic_until <= 1:
            raise _impossible(
                "--synthetic_until", "0 < value ≤ 1", f"{self.synthetic_until:g}", "It is a share of the steps."
            )
        if not 0 < self.labels <= 1:
            raise _impossible("--labels", "0 < value ≤ 1", f"{self.labels:g}", "It is a share of the training tiles.")
        if self.epochs and self.steps:
            raise _impossible("--epochs and --steps", "one of them", "both", "Remove one.")
        if self.batch_size % self.accumulate:
            raise _impossible(
                "--accumulate",
                f"a divisor of --batch_size {self.batch_size}",
                str(self.accumulate),
                "Change one of the two.",
            )

    def last_synthetic(self, draws: int) -> int | None:
        """The draw from which on there are real tiles alone, for an epoch of so many draws; None where there is none."""
        if self.synthetic_until == 1:
            return None
        return round(self.synthetic_until * self.resolved(draws).steps) * self.batch_size

    def resolved(self, draws: int) -> "SegmentationConfig":
        """The same with steps in place of epochs, for an epoch of so many draws."""
        per_epoch = draws / self.batch_size
        return dataclasses.replace(
            self,
            epochs=0,
            steps=self.steps or math.ceil((self.epochs or DEFAULT_EPOCHS) * per_epoch),
            eval_every=self.eval_every or max(round(per_epoch), 1),
            save_every=self.save_every or round(per_epoch * math.ceil(LEAST_APART / per_epoch)),
        )


def _parse_sources(names: tuple[str, ...]) -> tuple[str, ...]:
    asked = {name.lower() for name in names}
    if not asked or asked - set(SOURCES):
        raise _impossible("--sources", f"a comma-separated subset of {', '.join(SOURCES)}", repr(",".join(names)),
                          "Name at least one; land cover is what the network shall find.")  # fmt: skip
    return tuple(name for name in SOURCES if name in asked)


def _at_least(name: str, value: float, lowest: float) -> None:
    if not lowest <= value < math.inf:
        raise _impossible(f"--{name}", f"a number of at least {lowest:g}", f"{value:g}", "Correct the value.")


def _impossible(where: str, expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(explain(where, expected=expected, found=found, fix=fix))
