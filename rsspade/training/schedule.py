"""The learning rate as a pure function of the step.

Nothing to save and nothing that ticks: accelerate advances a prepared scheduler once per process, which silently
shortens a schedule on two GPUs.
"""

import math

from torch.optim import Optimizer

from rsspade.training.contract import RunOptions

__all__ = ["learning_rate", "set_learning_rate"]


def learning_rate(step: int, config: RunOptions) -> float:
    """The learning rate in the step that follows `step` finished ones."""
    options = config.optimizer
    if step < options.warmup:
        return config.lr * (step + 1) / options.warmup
    done = (step - options.warmup) / max(config.steps - options.warmup, 1)
    if options.schedule == "linear":
        return config.lr * (1 - done)
    if options.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * done)) / 2
    return config.lr


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    """For all parameters, times the `rate` of their group where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = value * group.get("rate", 1.0)
