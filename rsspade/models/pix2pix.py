"""The first rival: the U-Net of pix2pix (Isola et al., CVPR 2017, appendix 6.1), written from the paper.

Shape letters: B batch, K planes of all sources, C bands, H W pixels of the grid.

Deviations: no dropout (the output is deterministic here; the paper uses dropout as its noise, and finds the output
nearly deterministic anyway); doubling by `UpConvolution`, since transposed convolutions draw checkerboards; a linear
head instead of tanh, since reflectance has no upper end; depth is an option (the paper's is 8, for 256 px).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsspade.models.edges import EdgeConv2d
from rsspade.models.embedding import num_stacked_channels, stack_conditions
from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from rsspade.models.upsampling import UpConvolution
from rsspade.models.variety import Noise, VarietyHead, finish

__all__ = ["Pix2PixGenerator"]

WIDEST = 8


class Pix2PixGenerator(nn.Module):
    """A U-Net over the stacked sources.

    Args:
        sources: Source -> channels.
        num_bands: C.
        base_width: Features after the first convolution (64 in the paper); doubled down to eight times.
        depth: How many times the grid is halved.
        when_channels: Of season and sun, where they can be given.
        momentum: Of the norms.
        variety_width: Features of the head that draws residuals; 0 for none.

    Shapes: conditions Cs × (B, Cs, h, w), present (B,) each, when (B, M) -> (B, C, H, W); with noise
    also the residuals of its draws (B, S, C, H, W) and their variance.
    """

    def __init__(
        self, sources: Mapping[str, int], num_bands: int, *, base_width: int, depth: int, when_channels: int = 0,
        momentum: float = 0.1, variety_width: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sources = dict(sources)
        self.when_channels = when_channels
        self.multiple = 2**depth
        widths = [base_width * min(2**n, WIDEST) for n in range(depth)]  # after each halving
        planes = num_stacked_channels(sources, when_channels=when_channels)
        # First and last level without a norm, as in the paper: the one would lose the sources' absolute values, the
        # other may be a single pixel.
        self.down = nn.ModuleList()
        for n, width in enumerate(widths):
            norm = 0 < n < depth - 1
            self.down.append(
                EdgeConv2d(planes if n == 0 else widths[n - 1], width, 4, stride=2, padding=1, bias=not norm)
            )
        self.down_norms = nn.ModuleList(
            SyncBatchNorm(width, affine=True, momentum=momentum) if 0 < n < depth - 1 else nn.Identity()
            for n, width in enumerate(widths)
        )
        self.up = nn.ModuleList(
            UpConvolution(widths[n] * (1 if n == depth - 1 else 2), widths[n - 1], bias=False)
            for n in reversed(range(1, depth))
        )
        self.up_norms = nn.ModuleList(
            SyncBatchNorm(widths[n - 1], affine=True, momentum=momentum) for n in reversed(range(1, depth))
        )
        self.head = UpConvolution(2 * widths[0], num_bands)
        self.variety = VarietyHead.or_none(2 * widths[0], num_bands, depth=depth, width=variety_width, scale=2)

    def forward(
        self,
        conditions: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        when: Tensor | None = None,
        noise: Noise | None = None,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Make the image, in the channels of the optical source."""
        x = stack_conditions(conditions, present, self.sources, when=when, when_channels=self.when_channels)
        padding = Padding.to_multiple((x.shape[-2], x.shape[-1]), self.multiple)
        x = padding.apply(x)
        skips = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            x = functional.leaky_relu(norm(conv(x)), 0.2, inplace=True)
            skips.append(x)
        skips.pop()
        for up, norm in zip(self.up, self.up_norms, strict=True):
            x = torch.cat([functional.relu(norm(up(x)), inplace=True), skips.pop()], dim=1)
        return finish(self.head, self.variety, x, padding, noise)
