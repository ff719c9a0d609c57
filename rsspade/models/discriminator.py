"""PatchGAN on (sources, optical): each logit judges one patch (Isola et al. 2017), at one or more scales.

Shape letters: B batch, K planes of the sources, C bands, F features, H W pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["NORMS", "PatchDiscriminator", "most_halvings"]

NORMS = ("none", "instance", "spectral")
WIDEST = 8
_LAST = 3  # pixels that the two convolutions without a stride need


def most_halvings(side: int) -> int:
    """How often an image can be halved, by layers and by further scales, before its last convolutions find nothing to judge."""
    return (side // _LAST).bit_length() - 1


class PatchDiscriminator(nn.Module):
    """Judges at every scale whether the optical image belongs to the sources.

    No batch norm: it would tie the real and the fake images of a batch to each other, and R1 needs the gradient of
    each image by itself.

    Args:
        condition_channels: K, as `stack_conditions` returns them.
        optical_channels: C.
        base_width: Features after the first convolution (64 in the paper); doubled at each further layer.
        layers: Halvings. Three make patches of 70 px.
        scales: How many copies, each on an image half as large.
        norm: `none`, `instance` (pix2pixHD) or `spectral` (SPADE).

    Shapes: conditions (B, K, H, W), optical (B, C, H, W) -> per scale a list of feature maps, the logits last.
    """

    def __init__(
        self, condition_channels: int, optical_channels: int, *, base_width: int, layers: int, scales: int, norm: str
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchScale(condition_channels + optical_channels, base_width=base_width, layers=layers, norm=norm)
            for _ in range(scales)
        )

    def forward(self, conditions: Tensor, optical: Tensor) -> list[list[Tensor]]:
        """Judge an image at every scale."""
        if conditions.shape[-2:] != optical.shape[-2:]:
            raise ValueError(
                f"expected sources and image of one size, found {tuple(conditions.shape)} and {tuple(optical.shape)}"
            )
        x = torch.cat([conditions, optical], dim=1)
        outputs = []
        for n, scale in enumerate(self.scales):
            if n:
                x = functional.avg_pool2d(x, 2)
            outputs.append(scale(x))
        return outputs


class PatchScale(nn.Module):
    """The convolutions of one scale: (B, K + C, H, W) -> feature maps (B, F, …), last the logits (B, 1, …)."""

    def __init__(self, in_channels: int, *, base_width: int, layers: int, norm: str) -> None:
        super().__init__()
        widths = [base_width * min(2**n, WIDEST) for n in range(layers + 1)]
        self.layers = nn.ModuleList()
        for n, width in enumerate(widths):
            stride = 2 if n < layers else 1
            conv: nn.Module = nn.Conv2d(in_channels, width, 4, stride=stride, padding=1)
            if norm == "spectral" and n:
                conv = spectral_norm(conv)
            layer = [conv, nn.InstanceNorm2d(width)] if norm == "instance" and n else [conv]
            self.layers.append(nn.Sequential(*layer, nn.LeakyReLU(0.2)))
            in_channels = width
        self.layers.append(nn.Conv2d(in_channels, 1, 4, stride=1, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features
