"""What every segmentation network is to the rest: named sources in, logits at their size out.

Shape letters: B batch, C channels of a source, K classes, h w pixels of a source, H W pixels of the finest one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["STRETCHES", "Prediction", "SegmentationNetwork", "stack_sources"]

STRETCHES = ("none", "log")
"""What can happen to reflectance before the first layer."""

_BLACK = -1.05
_TOE = 1.1
"""In channels of `rsspade.channels`, of which −1 is reflectance 0: the logarithm of reflectance + 0.02, from −0.01 on."""


class Prediction(NamedTuple):
    """What a network says of a batch.

    Attributes:
        logits: (B, K, H, W); softmax over K makes probabilities of them.
        auxiliary: More logits of the same shape, from inner layers: they join the loss in training, nothing else.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()


class SegmentationNetwork(nn.Module, ABC):
    """A network that maps sources to classes.

    Attributes:
        sources: Source -> channels, those that `forward` takes and no others.
    """

    sources: dict[str, int]

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Prediction:
        """Channels of each of `sources`, (B, C, h, w) of any size from 64 px up -> logits at the finest size."""


def stack_sources(inputs: Mapping[str, Tensor], sources: Mapping[str, int], *, stretch: str = "none") -> Tensor:
    """All channels on one grid, (B, sum of C, H, W), in the order of `sources`; for networks that see one image.

    Vegetation, water and towns differ by hundredths of reflectance, snow lies at one: `stretch` "log" gives the dark
    ones room, and turns the light of a slope or a day from a factor into a shift. 0, that is no data, stays 0.
    """
    if set(inputs) != set(sources):
        raise ValueError(f"expected the sources {', '.join(sources)}, found {', '.join(inputs) or 'none'}")
    planes = [inputs[name] for name in sources]
    for name, x in zip(sources, planes, strict=True):
        if x.ndim != 4 or x.shape[:2] != (len(planes[0]), sources[name]):
            raise ValueError(f"{name}: expected ({len(planes[0])}, {sources[name]}, h, w), found {tuple(x.shape)}")
    if stretch == "log":
        planes = [
            torch.log1p(x.clamp(min=_BLACK) / _TOE) if name == "s2" else x
            for name, x in zip(sources, planes, strict=True)
        ]
    size = (max(x.shape[-2] for x in planes), max(x.shape[-1] for x in planes))
    on_grid = [
        x if x.shape[-2:] == size else functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        for x in planes
    ]
    return torch.cat(on_grid, dim=1)
