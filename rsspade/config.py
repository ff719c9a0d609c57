"""What a training run is made of: every option of `train_gan.py`, typed, frozen and checked when it is built.

The defaults of losses, rates and averaging are starting points, not yet the outcome of a comparison. Options that a machine
decides (workers, precision) change no result beyond rounding; `SAME_RUN` lists those that `--resume` may change.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rsspade.errors import ConfigError, explain
from rsspade.sources import CONDITIONS, parse_conditions, parse_subsets

__all__ = [
    "SAME_RUN",
    "DiscriminatorOptions",
    "GeneratorOptions",
    "LoaderOptions",
    "LossOptions",
    "OptimizerOptions",
    "TrainingConfig",
]

SAME_RUN = frozenset({
    "data", "out", "resume", "resume_from", "save_every", "keep_checkpoints", "loader.workers", "tracker", "compile", "log_every",
    "sample_tiles", "validate_subsets", "generator.edges",
})  # fmt: skip
"""What may change between a run and its continuation: it moves no weight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorOptions:
    """The generator; how many sources and bands it has follows from the dataset.

    Attributes:
        base_width: Features of the first level; twice as many at each level below.
        depth: How many times the resolution is halved, 2 to 8.
        modulate: Which decoder norms of rs_spade are modulated: all (the paper), none, finest-N, or levels such as 0,2.
        embedding_width: Features of each source's embedding (rs_spade, control).
        full_width: Decoder features at full resolution (rs_spade, control).
        hidden_width: Features between sources and modulation (spade).
        norm: What a generator normalises over: the pixels of the batch, or, group by group of features, of each sample.
        norm_momentum: Share of the newest batch in the running statistics of batch norms.
        variety_width: Features of the head that draws different samples of the same place; 0 for none.
        edges: What the trained network finds beyond its image: the outermost pixels again, or zeros, as in training.
    """

    base_width: int = 16
    depth: int = 5
    modulate: str = "finest-3"
    embedding_width: int = 8
    full_width: int = 8
    hidden_width: int = 128
    norm: Literal["batch", "group"] = "batch"
    norm_momentum: float = 0.1
    variety_width: int = 16
    edges: Literal["repeat", "zeros"] = "repeat"

    def __post_init__(self) -> None:
        for name in ("base_width", "embedding_width", "full_width", "hidden_width"):
            _at_least(f"generator.{name}", getattr(self, name), 1)
        _at_least("generator.variety_width", self.variety_width, 0)

    @property
    def modulated(self) -> str | tuple[int, ...]:
        """`modulate` as the model wants it."""
        levels = self.modulate.split(",")
        return tuple(int(n) for n in levels) if all(n.strip().isdecimal() for n in levels) else self.modulate


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorOptions:
    """The PatchGAN; it is built only where a loss asks for it.

    Attributes:
        base_width: Features after its first layer.
        layers: How many times it halves the resolution.
        scales: How many copies look at the image, each at half the resolution of the one before.
        norm: Its norm layers.
    """

    base_width: int = 32
    layers: int = 3
    scales: int = 1
    norm: Literal["spectral", "instance", "none"] = "spectral"

    def __post_init__(self) -> None:
        for name in ("base_width", "layers", "scales"):
            _at_least(f"discriminator.{name}", getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossOptions:
    """The weight of each loss; 0 turns it off.

    Attributes:
        adversarial: Weight of fooling the discriminator.
        kind: The adversarial loss.
        l1: Weight of the mean absolute difference.
        ssim: Weight of 1 − SSIM.
        sam: Weight of the spectral angle.
        feature_matching: Weight of the distance between the discriminator's features of both images.
        r1: Weight of the discriminator's gradient penalty on real images; helps with few tiles.
    """

    adversarial: float = 0.02
    kind: Literal["hinge", "lsgan"] = "hinge"
    l1: float = 1.0
    ssim: float = 0.2
    sam: float = 0.5
    feature_matching: float = 0.0
    r1: float = 0.0

    def __post_init__(self) -> None:
        weights = {n: getattr(self, n) for n in ("adversarial", "l1", "ssim", "sam", "feature_matching", "r1")}
        for name, weight in weights.items():
            _at_least(f"loss.{name}", weight, 0)
        if not any(weight for name, weight in weights.items() if name != "r1"):
            raise _impossible(
                "loss", "a loss of the generator with a weight above 0", "none", "Raise one, such as --loss.l1 1."
            )
        if self.r1 and not self.needs_discriminator:
            raise _impossible(
                "--loss.r1",
                "0 where no loss uses the discriminator",
                f"{self.r1:g}",
                "Raise --loss.adversarial, or leave it out.",
            )

    @property
    def needs_discriminator(self) -> bool:
        """Whether any loss asks for one."""
        return self.adversarial > 0 or self.feature_matching > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerOptions:
    """How the weights move.

    Attributes:
        name: The optimizer of both models.
        beta1: Decay of the mean gradient (momentum of sgd).
        beta2: Decay of the mean squared gradient.
        weight_decay: Decoupled (adamw), or added to the gradient.
        discriminator_lr: The discriminator's learning rate as a share of --lr.
        schedule: How the learning rate falls, over all steps, to 0.
        warmup: Steps in which it rises from 0.
        clip_norm: Longest gradient; none for any.
        ema_decay: Of the averaged generator, which is the one that is kept; 0 for no average.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 0.0
    discriminator_lr: float = 0.2
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: int = 0
    clip_norm: float | None = None
    ema_decay: float = 0.995

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise _impossible(
                    f"--optimizer.{name}", "0 ≤ value < 1", f"{getattr(self, name):g}", "Correct the value."
                )
        for name in ("weight_decay", "discriminator_lr", "warmup"):
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
        turn_directions: Turn aspect and hillshade values with the picture, which true north and the true sun do not.
        rare_classes: Draw tiles with rare classes more often: 0 not at all, 1 as if all classes were equally common.
        workers: Reading processes; none for 0 without a GPU and up to 8 with one.
    """

    crop_size: int | None = None
    flips: bool = True
    turns: bool = True
    turn_directions: bool = False
    rare_classes: float = 0.0
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None:
            _at_least("loader.crop_size", self.crop_size, 64)
        _at_least("loader.rare_classes", self.rare_classes, 0)
        if self.workers is not None:
            _at_least("loader.workers", self.workers, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """A training run.

    Attributes:
        data: The dataset folder.
        out: The run folder.
        model: The generator to train; control is rs_spade with plain norms.
        sources: What it sees, out of s1, lulc and dem.
        steps: Optimizer steps.
        batch_size: Tiles per step, over all processes and micro-batches together.
        lr: Learning rate of the generator.
        seed: Of weights, order, crops and dropped sources.
        eval_every: Steps between two validations; there is always one at the end.
        save_every: Steps between two checkpoints; there is always one at the end.
        resume: Continue the last good checkpoint of the run folder, if there is one.
        resume_from: Continue this folder of the run's `checkpoints/`, such as step_00000400, and no other.
        init_from: Begin with the generator of this run or generator folder, all else fresh; it must be the same network.
        source_dropout: Share of samples in which a source is hidden, each source by itself, one always kept; season and sun,
            where they are told, are hidden as often.
        subsets: Which sources samples show, and in what proportion, such as s1+lulc+dem:3,s1:1; source_dropout hides season
            and sun alone then.
        validate_subsets: Score the model in each validation with every source alone, too.
        season: Tell the model the day of the year.
        sun: Tell the model where the sun stood: as recorded, else as on Sentinel-2's passage over the tile that day.
        accumulate: Micro-batches per step, where a batch does not fit into memory. Batch norms and means over valid pixels are
            those of each, so that a step is near that of the whole batch and not the same.
        precision: Of the arithmetic; weights are always fp32.
        compile: Compile the models: slow to start, then faster.
        channels_last: Keep images channels-last in memory, usually faster.
        log_every: Steps between two lines of metrics.jsonl.
        sample_tiles: Tiles in each picture of samples/; 0 for no pictures.
        select_by: The validation score that decides which weights are kept as the best.
        keep_checkpoints: How many full checkpoints stay.
        tracker: Who draws the curves, beside metrics.jsonl.
        generator: Its options.
        discriminator: Its options.
        loss: Weights.
        optimizer: Its options.
        loader: Its options.
    """

    same_run: ClassVar[frozenset[str]] = SAME_RUN
    once: ClassVar[Mapping[str, object]] = {}

    data: str
    out: str
    model: Literal["rs_spade", "pix2pix", "spade", "control"] = "rs_spade"
    sources: tuple[str, ...] = CONDITIONS
    steps: int = 20_000
    batch_size: int = 4
    lr: float = 1e-3
    seed: int = 0
    eval_every: int = 1000
    save_every: int = 1000
    resume: bool = False
    resume_from: str | None = None
    init_from: str | None = None
    source_dropout: float = 0.25
    subsets: tuple[str, ...] | None = None
    validate_subsets: bool = False
    season: bool = False
    sun: bool = False
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    channels_last: bool = True
    log_every: int = 50
    sample_tiles: int = 4
    select_by: Literal["psnr", "ssim", "sam_rad"] = "psnr"
    keep_checkpoints: int = 2
    tracker: Literal["tensorboard", "wandb", "mlflow", "none"] = "tensorboard"
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    discriminator: DiscriminatorOptions = field(default_factory=DiscriminatorOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    loader: LoaderOptions = field(default_factory=LoaderOptions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", parse_conditions(",".join(self.sources)))
        for name in ("steps", "batch_size", "eval_every", "save_every", "accumulate", "log_every", "keep_checkpoints"):
            _at_least(name, getattr(self, name), 1)
        for name in ("seed", "sample_tiles"):
            _at_least(name, getattr(self, name), 0)
        if not 0 < self.lr < math.inf:
            raise _impossible("--lr", "a number above 0", f"{self.lr:g}", "Correct the value.")
        if not 0 <= self.source_dropout < 1:
            raise _impossible("--source_dropout", "0 ≤ value < 1", f"{self.source_dropout:g}", "Correct the value.")
        parse_subsets(self.subsets or (), self.sources)
        if self.batch_size % self.accumulate:
            raise _impossible(
                "--accumulate",
                f"a divisor of --batch_size {self.batch_size}",
                str(self.accumulate),
                "Change one of the two.",
            )


def _at_least(name: str, value: float, lowest: float) -> None:
    if not lowest <= value < math.inf:
        raise _impossible(f"--{name}", f"a number of at least {lowest:g}", f"{value:g}", "Correct the value.")


def _impossible(where: str, expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(explain(where, expected=expected, found=found, fix=fix))
