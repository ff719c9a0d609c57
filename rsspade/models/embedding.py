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

from rsspade.channels import SEASON_CHANNELS

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


def season_or_unknown(season: Tensor | None, like: Tensor, *, with_season: bool) -> Tensor | None:
    """The season, all zeros where it was not given, or None where the network has no place for it."""
    if not with_season:
        if season is not None:
            raise ValueError("expected no season, found one: this network was built without")
        return None
    if season is None:
        return like.new_zeros(len(like), len(SEASON_CHANNELS))
    if season.shape != (len(like), len(SEASON_CHANNELS)):
        raise ValueError(f"season: expected {(len(like), len(SEASON_CHANNELS))}, found {tuple(season.shape)}")
    return season


def num_stacked_channels(sources: Mapping[str, int], *, season: bool = False) -> int:
    """How many planes `stack_conditions` returns."""
    return sum(sources.values()) + len(sources) + (len(SEASON_CHANNELS) if season else 0)


def stack_conditions(
    conditions: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    sources: Mapping[str, int],
    *,
    season: Tensor | None = None,
    with_season: bool = False,
) -> Tensor:
    """All sources as planes of one image: zeros where a source is absent, and a plane that says so.

    What the discriminator and the networks without embeddings see.

    Args:
        conditions: Source -> (B, Cs, h, w). One that is left out is absent in the whole batch.
        present: Source -> (B,) bool.
        sources: Source -> Cs, in the order of the planes.
        season: (B, 3), added as constant planes; unknown, which is all zeros, where it is None.
        with_season: Whether the season has planes.

    Returns:
        (B, ΣCs + S [+ 3], H, W).
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
    season = season_or_unknown(season, like, with_season=with_season)
    if season is not None:
        planes.append(season[:, :, None, None].to(like.dtype).expand(-1, -1, height, width))
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
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
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
    """The embeddings of all sources side by side, shifted by the season.

    Args:
        sources: Source -> Cs.
        width: E of each source.
        season: Whether a season can be given. Unknown is all zeros, so that the bias is its learned "absent".

    Shapes: -> (B, S·E, H, W).
    """

    def __init__(self, sources: Mapping[str, int], width: int, *, season: bool) -> None:
        super().__init__()
        self.sources = dict(sources)
        self.width = width
        self.by_source = nn.ModuleDict({name: SourceEmbedding(count, width) for name, count in sources.items()})
        self.num_features = width * len(sources)
        self.season = nn.Linear(len(SEASON_CHANNELS), self.num_features) if season else None

    def forward(
        self, conditions: Mapping[str, Tensor], present: Mapping[str, Tensor], season: Tensor | None = None
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
        season = season_or_unknown(season, like, with_season=self.season is not None)
        if self.season is not None:
            # Before the activation: so the season can decide what a pixel's features mean, not only tint the image.
            offset = offset + self.season(season)
        features = torch.cat(parts, dim=1)
        return functional.leaky_relu(features + offset[:, :, None, None].to(features.dtype), 0.2, inplace=True)
