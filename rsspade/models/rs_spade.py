"""The RS-SPADE generator: a U-Net over per-source embeddings, its decoder modulated by its encoder.

Shape letters: B batch, E features of all embeddings, C bands, H W pixels of the grid.

What the paper modulates with is the embedded sources at every resolution. Here the encoder's pyramid of those
embeddings does it, which costs no second pyramid, and a skip at full resolution carries the detail: per second of
training this was worth more than the deep residual blocks of the original (see the project's experiments).

Level n is the resolution of the grid divided by 2ⁿ; level 0 is the full one, where the embeddings themselves
modulate.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsspade.models.edges import EdgeConv2d
from rsspade.models.embedding import Embeddings
from rsspade.models.modulation import SpatialModulation
from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from rsspade.models.upsampling import UpConvolution
from rsspade.models.variety import Noise, VarietyHead, finish

__all__ = ["RSSpadeGenerator"]

WIDEST = 8
"""Width of the deepest levels in multiples of the base width."""


class RSSpadeGenerator(nn.Module):
    """Any subset of the sources in, an optical image out.

    Args:
        sources: Source -> channels.
        num_bands: C.
        base_width: Features at level 1; doubled at each further level up to eight times.
        depth: How many times the grid is halved.
        modulated: Levels whose decoder norm is modulated; the others learn one scale and one shift per feature.
        embedding_width: Features of each source's embedding.
        full_width: Decoder features at level 0.
        when_channels: Of season and sun, where they can be given.
        momentum: Of the norms.
        variety_width: Features of the head that draws residuals; 0 for none.

    Shapes: conditions Cs × (B, Cs, h, w), present (B,) each, when (B, M) -> (B, C, H, W); with noise
    also the residuals of its draws (B, S, C, H, W) and their variance.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        num_bands: int,
        *,
        base_width: int,
        depth: int,
        modulated: Collection[int],
        embedding_width: int,
        full_width: int,
        when_channels: int = 0,
        momentum: float = 0.1,
        variety_width: int = 0,
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(sources, embedding_width, when_channels=when_channels)
        self.multiple = 2**depth
        embedded = self.embeddings.num_features
        widths = [embedded, *(base_width * min(2**n, WIDEST) for n in range(depth))]  # by level
        self.encoder = nn.ModuleList(
            # The deepest level may be a single pixel, which a norm would turn into zero.
            EncoderBlock(widths[n], widths[n + 1], norm=n + 1 < depth, momentum=momentum)
            for n in range(depth)
        )
        self.decoder = nn.ModuleList()  # coarse to fine
        for level in reversed(range(depth)):
            deepest = level + 1 == depth
            self.decoder.append(
                DecoderBlock(
                    widths[level + 1] if deepest else 2 * widths[level + 1],
                    full_width if level == 0 else widths[level],
                    cond_channels=widths[level] if level in modulated else None,
                    momentum=momentum,
                )
            )
        self.head = EdgeConv2d(full_width + embedded, num_bands, 3, padding=1)
        self.variety = VarietyHead.or_none(full_width + embedded, num_bands, depth=depth, width=variety_width)

    def forward(
        self,
        conditions: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        when: Tensor | None = None,
        noise: Noise | None = None,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Make the image, in the channels of the optical source."""
        features = self.embeddings(conditions, present, when)
        padding = Padding.to_multiple((features.shape[-2], features.shape[-1]), self.multiple)
        pyramid = [padding.apply(features)]
        for block in self.encoder:
            pyramid.append(block(pyramid[-1]))
        x = pyramid.pop()
        for block in self.decoder:
            skip = pyramid.pop()
            x = torch.cat([block(x, skip), skip], dim=1)
        return finish(self.head, self.variety, x, padding, noise)


class EncoderBlock(nn.Module):
    """Half the size: convolution, norm, leaky rectifier. (B, C_in, H, W) -> (B, C_out, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: bool, momentum: float) -> None:
        super().__init__()
        self.conv = EdgeConv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=not norm)
        self.norm = SyncBatchNorm(out_channels, affine=True, momentum=momentum) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return functional.leaky_relu(x, 0.2, inplace=True)


class DecoderBlock(nn.Module):
    """Twice the size: convolution, norm that the condition may modulate, rectifier.

    Shapes: x (B, C_in, H, W), cond (B, cond_channels, 2H, 2W) -> (B, C_out, 2H, 2W).
    """

    def __init__(self, in_channels: int, out_channels: int, *, cond_channels: int | None, momentum: float) -> None:
        super().__init__()
        self.up = UpConvolution(in_channels, out_channels, bias=False)
        self.modulation: SpatialModulation | None = None
        self.norm: SyncBatchNorm | None = None
        if cond_channels is None:
            self.norm = SyncBatchNorm(out_channels, affine=True, momentum=momentum)
        else:
            self.modulation = SpatialModulation(out_channels, cond_channels, momentum=momentum)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        x = self.up(x)
        if self.modulation is not None:
            x = self.modulation(x, cond)
        elif self.norm is not None:
            x = self.norm(x)
        return functional.relu(x, inplace=True)
