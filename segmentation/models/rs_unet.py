"""RS-UNet: the U-Net of the RS-SPADE paper, five levels down and five up, 3×3 kernels throughout.

Shape letters: B batch, C channels, F features, K classes, H W pixels.

The paper gives the four input bands, the levels, the kernels of convolution and pooling, and the softmax. Widths and norms
it leaves open; here they are those of the U-Net (two convolutions per level, features doubled at each) with batch
norms. The way up doubles by nearest neighbour and a 3×3 convolution, which draws no checkerboard.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from rsspade.models.upsampling import UpConvolution
from segmentation.models.contract import Prediction, SegmentationNetwork, stack_sources

__all__ = ["RSUNet"]


class _Block(nn.Sequential):
    """Two 3×3 convolutions, each with norm and leaky rectifier: (B, C, H, W) -> (B, F, H, W)."""

    def __init__(self, channels: int, features: int, *, leak: float) -> None:
        super().__init__(
            nn.Conv2d(channels, features, 3, padding=1, bias=False),
            SyncBatchNorm(features, affine=True),
            nn.LeakyReLU(leak, inplace=True),
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            SyncBatchNorm(features, affine=True),
            nn.LeakyReLU(leak, inplace=True),
        )


class RSUNet(SegmentationNetwork):
    """A U-Net over the stacked sources.

    Args:
        sources: Source -> channels.
        num_classes: K.
        base_width: F at full resolution; twice as many at each level below.
        depth: How many times the grid is halved; 5 in the paper.
        stretch: One of `STRETCHES`.
        leak: Slope of the rectifiers below zero. Plain ones died: at a rate of 1e-2 a norm pushed all features of a level below
            zero, where no gradient reaches them, and all deeper levels were cut off from the answer for good.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        num_classes: int,
        *,
        base_width: int = 32,
        depth: int = 5,
        stretch: str = "none",
        leak: float = 0.0,
    ) -> None:
        super().__init__()
        self.sources = dict(sources)
        self.stretch = stretch
        self.multiple = 2**depth
        widths = [base_width * 2**n for n in range(depth + 1)]
        self.first = _Block(sum(sources.values()), widths[0], leak=leak)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.down = nn.ModuleList(_Block(widths[n], widths[n + 1], leak=leak) for n in range(depth))
        self.up = nn.ModuleList(UpConvolution(widths[n + 1], widths[n]) for n in reversed(range(depth)))
        self.merge = nn.ModuleList(_Block(2 * widths[n], widths[n], leak=leak) for n in reversed(range(depth)))
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> Prediction:
        """Channels by source -> logits (B, K, H, W)."""
        stacked = stack_sources(inputs, self.sources, stretch=self.stretch)
        padding = Padding.to_multiple((stacked.shape[-2], stacked.shape[-1]), self.multiple)
        x = self.first(padding.apply(stacked))
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(self.pool(x))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return Prediction(padding.crop(self.head(x)))
