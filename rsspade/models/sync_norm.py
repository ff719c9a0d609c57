"""Batch normalisation that sees the batch of all processes, on any device.

Shape letters: B batch, C features, H W pixels; P processes.

torch's own `SyncBatchNorm` refuses CPU tensors. Here each process contributes mean, variance and count of its own
pixels in one small all-reduce, and the three are combined exactly as the parts of one population: the sums of
squares that are usually exchanged lose their digits where a mean is large against its spread.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SyncBatchNorm", "all_reduce_sum"]


class _AllReduceSum(torch.autograd.Function):
    """Sum over the processes; a sum's gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ANN401
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def all_reduce_sum(x: Tensor) -> Tensor:
    """Differentiable sum of `x` over all processes; every process must call it equally often."""
    total: Tensor = _AllReduceSum.apply(x)  # type: ignore[no-untyped-call]
    return total


def _num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class SyncBatchNorm(nn.Module):
    """Normalise each feature over the pixels of the whole batch; in eval mode by the running statistics.

    Args:
        num_features: C.
        affine: Learn one scale and one shift per feature. Off where a modulation follows, which would undo them.
        momentum: Share of the newest batch in the running statistics.
        eps: Keeps a constant feature finite.

    Shapes: (B, C, H, W) -> (B, C, H, W), in the precision of the input; statistics are float32.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, *, affine: bool, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; in training over the pixels of all processes."""
        if self.training and _num_processes() > 1:
            return self._across_processes(x)
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )

    def _across_processes(self, x: Tensor) -> Tensor:
        values = x.float()
        var, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)  # (C,)
        mean, var, count = self._combine(mean, var, x.numel() // x.shape[1])
        with torch.no_grad():
            unbiased = var * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        scale = torch.rsqrt(var + self.eps)
        if self.weight is not None and self.bias is not None:
            scale = scale * self.weight
            shift = self.bias - mean * scale
        else:
            shift = -mean * scale
        return (values * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @staticmethod
    def _combine(mean: Tensor, var: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (C,) of this process's pixels -> mean, variance and count of everybody's."""
        features = len(mean)
        own = torch.cat([mean, var, mean.new_full((1,), count)])  # (2 C + 1,)
        # Everybody fills a row of its own and adds up: a gather that gloo, nccl and autograd all know.
        before, after = dist.get_rank(), _num_processes() - dist.get_rank() - 1
        rows = all_reduce_sum(functional.pad(own[None], (0, 0, before, after)))  # (P, 2 C + 1)
        means, variances, counts = rows[:, :features], rows[:, features:-1], rows[:, -1:]
        share = counts / counts.sum()
        mean = (share * means).sum(dim=0)
        var = (share * (variances + (means - mean) ** 2)).sum(dim=0)
        return mean, var, counts.sum().detach()

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{len(self.running_mean)}, affine={self.weight is not None}"
