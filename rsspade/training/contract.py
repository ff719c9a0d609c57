"""What the shared parts of training ask of a run's options and networks, whatever it is that learns.

`rsspade.config.TrainingConfig` is one such set of options; another package's training script brings its own.
"""

from collections.abc import Mapping
from typing import Protocol

from torch import nn
from torch.optim import Optimizer

__all__ = ["OptimizerSettings", "RunOptions", "Trained"]


class OptimizerSettings(Protocol):
    """How weights move and how the learning rate falls."""

    @property
    def name(self) -> str:
        """`adam`, `adamw` or `sgd`."""

    @property
    def beta1(self) -> float:
        """Decay of the mean gradient."""

    @property
    def beta2(self) -> float:
        """Decay of the mean squared gradient."""

    @property
    def weight_decay(self) -> float:
        """Decoupled, or added to the gradient."""

    @property
    def schedule(self) -> str:
        """`constant`, `linear` or `cosine`."""

    @property
    def warmup(self) -> int:
        """Steps in which the learning rate rises."""


class RunOptions(Protocol):
    """The options that any training run has."""

    @property
    def same_run(self) -> frozenset[str]:
        """The options that may change between a run and its continuation."""

    @property
    def once(self) -> Mapping[str, object]:
        """What options were in effect before there were any, where that is not their default."""

    @property
    def out(self) -> str:
        """The run folder."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    @property
    def batch_size(self) -> int:
        """Tiles per step, over all processes and micro-batches together."""

    @property
    def lr(self) -> float:
        """Learning rate."""

    @property
    def resume(self) -> bool:
        """Continue the last good checkpoint, if there is one."""

    @property
    def resume_from(self) -> str | None:
        """Continue this checkpoint and no other."""

    @property
    def accumulate(self) -> int:
        """Micro-batches per step."""

    @property
    def precision(self) -> str:
        """`fp32` or `bf16`."""

    @property
    def tracker(self) -> str:
        """Who draws the curves; `none` for nobody."""

    @property
    def optimizer(self) -> OptimizerSettings:
        """Its options."""


class Trained(Protocol):
    """What a checkpoint holds of the networks of a run."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """By the name of their part in a checkpoint."""

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """By name; in a checkpoint `NAME_optimizer`."""
