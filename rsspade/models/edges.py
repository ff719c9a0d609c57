"""What a convolution finds beyond the edge of its image: zeros in training; afterwards, where asked for, the last pixels again.

Nothing on the ground looks like zeros, and a network that has learned of ground from the inside of its tiles paints a rim
where it meets them. Repeated pixels cost a step of training a tenth more and make no better network than zeros do, as long
as they are there when it is applied (experiments/table1_generators): so they are there only then.
"""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EDGES", "EdgeConv2d", "Edged", "repeat_edges", "set_edges"]

EDGES = ("repeat", "zeros")


class Edged:
    """A layer whose edges `set_edges` decides; trained, stored and built as any other."""

    repeats_edges = False


class EdgeConv2d(nn.Conv2d, Edged):
    """A convolution with such edges."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; (B, C_in, H, W) -> (B, C_out, H', W')."""
        if self.training or not self.repeats_edges:
            return super().forward(input)
        assert isinstance(self.padding, tuple)
        return functional.conv2d(repeat_edges(input, self.padding[0]), self.weight, self.bias, self.stride)


def repeat_edges(x: Tensor, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 2 width, W + 2 width)."""
    return functional.pad(x, [width] * 4, mode="replicate")


def set_edges(network: nn.Module, edges: str) -> None:
    """Decide for all layers of a network that leave it open, one of `EDGES`."""
    for layer in network.modules():
        if isinstance(layer, Edged):
            layer.repeats_edges = edges == "repeat"
