"""From sources to one grid: an embedding for each source, and plain stacking for the networks that have none.

Shape letters: B batch, S sources, Cs channels of a source, E features of an embedding, h w pixels of a source,
H W pixels of the grid.

A source may come at its own resolution (elevation at 30 m, radar at 20 m); the grid is the largest height and width
among the sources given. What lies in an absent source may be anything, NaN included: it is replaced, not multiplied.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsspade.models.edges import EdgeConv2d

__all__ = ["Embeddings", "SourceEmbedding", "check_inputs", "grid_size", "num_stacked_channels", "stack_conditions"]


def grid_size(conditions: Mapping[str, Tensor]) -> tuple[int, int]:
    """Height and width of the grid: the largest among the sources given."""
    if not conditions:
        raise ValueError("expected at least one source, found none")
    return max(x.shape[-2] for x in conditions.values()), max(x.shape[-1] for x in conditions.values())


def check_inputs(
    conditions: Mapping[str, Tensor], present: Mapping[str, Tensor], sources: Mapping[str, int]
) -> tuple[int, int]:
    """Refuse what would fail later, or not at all; returns the size of the grid."""
    unknown = sorted(set(conditions) - set(sources))
    if unknown:
        raise ValueError(f"expected sources out of {', '.join(sources)}, found {', '.join(unknown)}")
    size = grid_size(conditions)
    batch = len(next(iter(conditions.values())))
    for name, x in conditions.items():
        if x.ndim != 4 or x.shape[:2] != (batch, sources[name]):
            raise ValueError(f"{name}: expected ({batch}, {sources[name]}, h, w), found {tuple(x.shape)}")
        mask = present.get(name)
        if mask is None or mask.dtype != torch.bool or mask.shape != (batch,):
            found = "none" if mask is None else f"{mask.dtype} {tuple(mask.shape)}"
            raise ValueError(f"{name}: expected a presence mask, bool ({batch},), found {found}")
    return size


def _only_present(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[:, None, None, None], x, 0.0)


def _to_grid(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def when_or_unknown(when: Tensor | None, like: Tensor, *, channels: int) -> Tensor | None:
    """The moment, all zeros where it was not given, or None where the network has no place for it."""
    if channels == 0:
        if when is not None:
            raise ValueError("expected no moment, found one: this network was built without season and sun")
        return None
    if when is None:
        return like.new_zeros(len(like), channels)
    if when.shape != (len(like), channels):
        raise ValueError(f"when: expected {(len(like), channels)}, found {tuple(when.shape)}")
    return when


def num_stacked_channels(sources: Mapping[str, int], *, when_channels: int = 0) -> int:
    """How many planes `stack_conditions` returns."""
    return sum(sources.values()) + len(sources) + when_channels


def stack_conditions(
    conditions: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    sources: Mapping[str, int],
    *,
    when: Tensor | None = None,
    when_channels: int = 0,
) -> Tensor:
    """All sources as planes of one image: zeros where a source is absent, and a plane that says so.

    What the discriminator and the networks without embeddings see.

    Args:
        conditions: Source -> (B, Cs, h, w). One that is left out is absent in the whole batch.
        present: Source -> (B,) bool.
        sources: Source -> Cs, in the order of the planes.
        when: (B, M) season and sun, added as constant planes; unknown, which is all zeros, where it is None.
        when_channels: M.

    Returns:
        (B, ΣCs + S + M, H, W).
    """
    height, width = check_inputs(conditions, present, sources)
    like = next(iter(conditions.values()))
    planes = []
    for name, channels in sources.items():
        if name in conditions:
            mask = present[name]
            planes.append(_to_grid(_only_present(conditions[name], mask), (height, width)))
            planes.append(mask[:, None, None, None].to(like.dtype).expand(-1, 1, height, width))
        else:
            planes.append(like.new_zeros(len(like), channels + 1, height, width))
    when = when_or_unknown(when, like, channels=when_channels)
    if when is not None:
        planes.append(when[:, :, None, None].to(like.dtype).expand(-1, -1, height, width))
    return torch.cat(planes, dim=1)


class SourceEmbedding(nn.Module):
    """The features of one source on the grid, or of its absence.

    One 3×3 convolution at the source's own resolution, and a learned vector that stands in for a source that a
    sample does not have. Where the source is replaced by zeros the convolution gives zeros, so that its bias and the
    vector can be exchanged per sample: this costs no pass over the pixels.

    Args:
        channels: Cs.
        width: E.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = EdgeConv2d(channels, width, 3, padding=1, bias=False)
        bound = (9 * channels) ** -0.5
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.absent = nn.Parameter(torch.randn(width) * 0.1)

    def forward(self, x: Tensor, present: Tensor, size: tuple[int, int]) -> Tensor:
        """The features without their offset: x (B, Cs, h, w), present (B,) -> (B, E, H, W)."""
        return _to_grid(self.conv(_only_present(x, present)), size)

    def offset(self, present: Tensor) -> Tensor:
        """What is to be added: (B,) -> (B, E)."""
        return torch.where(present[:, None], self.bias, self.absent)


class Embeddings(nn.Module):
    """The embeddings of all sources side by side, shifted by season and sun.

    Args:
        sources: Source -> Cs.
        width: E of each source.
        when_channels: Of season and sun, where they can be given. Unknown is all zeros, so that the bias is its learned
            "absent".

    Shapes: -> (B, S·E, H, W).
    """

    def __init__(self, sources: Mapping[str, int], width: int, *, when_channels: int = 0) -> None:
        super().__init__()
        self.sources = dict(sources)
        self.width = width
        self.by_source = nn.ModuleDict({name: SourceEmbedding(count, width) for name, count in sources.items()})
        self.num_features = width * len(sources)
        self.when_channels = when_channels
        # Its name is that of the weights in every checkpoint there is.
        self.season = nn.Linear(when_channels, self.num_features) if when_channels else None

    def forward(
        self, conditions: Mapping[str, Tensor], present: Mapping[str, Tensor], when: Tensor | None = None
    ) -> Tensor:
        """Embed all sources; one that is left out is absent in the whole batch."""
        size = check_inputs(conditions, present, self.sources)
        like = next(iter(conditions.values()))
        nobody = torch.zeros(len(like), dtype=torch.bool, device=like.device)
        parts, offsets = [], []
        for name, module in self.by_source.items():
            assert isinstance(module, SourceEmbedding)
            if name in conditions:
                parts.append(module(conditions[name], present[name], size))
            else:
                parts.append(like.new_zeros(len(like), self.width, *size))
            offsets.append(module.offset(present[name] if name in conditions else nobody))
        offset = torch.cat(offsets, dim=1)
        when = when_or_unknown(when, like, channels=self.when_channels)
        if self.season is not None:
            # Before the activation: so the moment can decide what a pixel's features mean, not only tint the image.
            offset = offset + self.season(when)
        features = torch.cat(parts, dim=1)
        return functional.leaky_relu(features + offset[:, :, None, None].to(features.dtype), 0.2, inplace=True)
