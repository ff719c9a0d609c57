"""An exponential moving average of the generator: the model that is validated and kept."""

import copy

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """The averaged twin of a model, always in eval mode.

    The decay rises with the step, min(decay, (1 + step) / (10 + step)), so that a short run is not an average with
    its own beginning. Buffers, the running statistics of norms, are averages already and are copied.

    Args:
        model: The model as built, before accelerate or the compiler change it.
        decay: Of the average in the long run; 0 makes a plain copy.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps; nothing is copied to the host."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        mine: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(mine, theirs, weight)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)

    def to(self, device: torch.device) -> None:
        """Move it to a device."""
        self.model.to(device)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return self.model.state_dict()
