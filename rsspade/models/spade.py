"""The second rival: the generator of Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization".

Shape letters: B batch, K planes of all sources, C bands, H W pixels of the grid, N H W a level's resolution.

Written from the paper (CVPR 2019, section 3 and appendix A) alone. At the published size (base width 64, depth 6,
hidden width 128) it has the paper's seven residual blocks, 1024 features wide at the bottom and 64 at the top.

Deviations: the first features come from the shrunken sources, not from noise (the paper's own variant without an
image encoder); sources with continuous values are shrunk by averaging, which keeps class maps as class fractions,
where nearest neighbours would alias radar and relief; any number of output bands; a linear head.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from rsspade.models.edges import EdgeConv2d
from rsspade.models.embedding import num_stacked_channels, stack_conditions
from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from rsspade.models.variety import Noise, VarietyHead, finish

__all__ = ["SpadeGenerator"]

WIDEST = 16


class SpadeGenerator(nn.Module):
    """Residual blocks from coarse to fine, every norm modulated by the stacked sources.

    Args:
        sources: Source -> channels.
        num_bands: C.
        base_width: Features at full resolution (64 in the paper); doubled at each coarser level up to 16 times.
        depth: How many times the image is doubled; there is one block more than that.
        hidden_width: Features between the sources and scale and shift (128 in the paper).
        when_channels: Of season and sun, where they can be given.
        momentum: Of the norms.
        variety_width: Features of the head that draws residuals; 0 for none.

    Shapes: conditions Cs × (B, Cs, h, w), present (B,) each, when (B, M) -> (B, C, H, W); with noise
    also the residuals of its draws (B, S, C, H, W) and their variance.
    """

    def __init__(
        self, sources: Mapping[str, int], num_bands: int, *, base_width: int, depth: int, hidden_width: int,
        when_channels: int = 0, momentum: float = 0.1, variety_width: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sources = dict(sources)
        self.when_channels = when_channels
        self.multiple = 2**depth
        planes = num_stacked_channels(sources, when_channels=when_channels)
        widths = [base_width * min(2**level, WIDEST) for level in reversed(range(depth + 1))]  # coarse to fine
        self.first = EdgeConv2d(planes, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, planes, hidden_width, momentum=momentum)
            for before, after in zip([widths[0], *widths], widths, strict=False)
        )
        self.head = EdgeConv2d(widths[-1], num_bands, 3, padding=1)
        self.variety = VarietyHead.or_none(widths[-1], num_bands, depth=depth, width=variety_width)

    def forward(
        self,
        conditions: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        when: Tensor | None = None,
        noise: Noise | None = None,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Make the image, in the channels of the optical source."""
        full = stack_conditions(conditions, present, self.sources, when=when, when_channels=self.when_channels)
        padding = Padding.to_multiple((full.shape[-2], full.shape[-1]), self.multiple)
        planes = [padding.apply(full)]
        for _ in self.blocks[1:]:
            planes.append(functional.avg_pool2d(planes[-1], 2))  # full resolution last to be used
        cond = planes.pop()
        x: Tensor = self.blocks[0](self.first(cond), cond)
        for block in self.blocks[1:]:
            x = block(functional.interpolate(x, scale_factor=2, mode="nearest"), planes.pop())
        return finish(self.head, self.variety, functional.leaky_relu(x, 0.2), padding, noise)


class ResidualBlock(nn.Module):
    """Two modulated convolutions beside a shortcut, which is modulated and learned where the width changes.

    Shapes: x (B, C_in, H, W), cond (B, K, H, W) -> (B, C_out, H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, cond_channels: int, hidden_width: int, *, momentum: float
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)

        def modulated(features: int) -> HiddenModulation:
            return HiddenModulation(features, cond_channels, hidden_width, momentum=momentum)

        self.modulation_1 = modulated(in_channels)
        self.conv_1 = spectral_norm(EdgeConv2d(in_channels, middle, 3, padding=1))
        self.modulation_2 = modulated(middle)
        self.conv_2 = spectral_norm(EdgeConv2d(middle, out_channels, 3, padding=1))
        self.changes_width = in_channels != out_channels
        if self.changes_width:
            self.modulation_shortcut = modulated(in_channels)
            self.conv_shortcut = spectral_norm(nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        y = self.conv_1(functional.relu(self.modulation_1(x, cond), inplace=True))
        y = self.conv_2(functional.relu(self.modulation_2(y, cond), inplace=True))
        shortcut = (
            self.conv_shortcut(functional.relu(self.modulation_shortcut(x, cond), inplace=True))
            if self.changes_width
            else x
        )
        out: Tensor = shortcut + y
        return out


class HiddenModulation(nn.Module):
    """Batch norm, then scale and shift per pixel from a hidden layer over the sources (figure 3 of the paper).

    Shapes: x (B, C, H, W), cond (B, K, H, W) -> (B, C, H, W).
    """

    def __init__(self, num_features: int, cond_channels: int, hidden_width: int, *, momentum: float) -> None:
        super().__init__()
        self.norm = SyncBatchNorm(num_features, affine=False, momentum=momentum)
        self.hidden = EdgeConv2d(cond_channels, hidden_width, 3, padding=1)
        self.scale_and_shift = EdgeConv2d(hidden_width, 2 * num_features, 3, padding=1)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(functional.relu(self.hidden(cond), inplace=True)).chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)
