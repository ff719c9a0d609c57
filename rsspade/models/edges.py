"""What a convolution finds beyond the edge of its image: zeros in training; afterwards, where asked for, the last pixels again.

Nothing on the ground looks like zeros, and a network that has learned of ground from the inside of its tiles paints a rim
where it meets them. Repeated pixels cost a step of training a tenth more and make no better network than zeros do, as long
as they are there when it is applied (experiments/table1_generators): so they are there only then. Of coarse maps most is
edge: what a network has learned with zeros there it needs, and `spade` lost up to 0.8 dB without.
"""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EDGES", "EdgeConv2d", "Edged", "repeat_edges", "set_edges"]

EDGES = ("repeat", "zeros")
COARSE = 32
"""Maps with fewer pixels per side keep their zeros. With 64, as good; with 16 and less, no better for any network."""


class Edged:
    """A layer whose edges `set_edges` decides; trained, stored and built as any other."""

    repeats_edges = False
    training: bool

    def repeats(self, height: int, width: int) -> bool:
        """Whether it repeats the edges of a map of this size."""
        return self.repeats_edges and not self.training and min(height, width) >= COARSE


class EdgeConv2d(nn.Conv2d, Edged):
    """A convolution with such edges."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; (B, C_in, H, W) -> (B, C_out, H', W')."""
        if not self.repeats(*input.shape[-2:]):
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
