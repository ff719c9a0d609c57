"""Normalise, then let the sources say what the normalisation took away.

Shape letters: B batch, C features, K features of the condition, H W pixels.
"""

import torch
from torch import Tensor, nn

from rsspade.models.edges import EdgeConv2d
from rsspade.models.sync_norm import SyncBatchNorm

__all__ = ["SpatialModulation"]


class SpatialModulation(nn.Module):
    """Batch normalisation without affine, then a scale and a shift per pixel from the condition (Park et al. 2019).

    One 3×3 convolution makes both. Park et al. put a hidden layer of 128 features before it; here the condition is
    already a feature map, and the hidden layer cost more time than it gained.

    Args:
        num_features: C.
        cond_channels: K.
        momentum: Of the running statistics.

    Shapes: x (B, C, H, W), cond (B, K, H, W) -> (B, C, H, W).
    """

    def __init__(self, num_features: int, cond_channels: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.norm = SyncBatchNorm(num_features, affine=False, momentum=momentum)
        self.scale_and_shift = EdgeConv2d(cond_channels, 2 * num_features, 3, padding=1)
        assert self.scale_and_shift.bias is not None
        # Starts as the plain norm, scale 1 and shift 0: a random modulation is noise on every pixel, which the first
        # hundreds of steps go into undoing.
        nn.init.zeros_(self.scale_and_shift.weight)
        nn.init.zeros_(self.scale_and_shift.bias)
        nn.init.ones_(self.scale_and_shift.bias[:num_features])

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """Normalise and modulate."""
        scale, shift = self.scale_and_shift(cond).chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), scale)
