"""What the sources leave open, drawn: a residual that is added to the deterministic image.

Shape letters: B batch, S draws, F features of the generator, K noise channels of all levels, C bands, H W pixels.

    residual = brightness(image) · Σ_k colour_k · gate_k(features) · noise_k

Each noise channel is a smooth random field of its level's grain, from single pixels up to one number for the whole
scene (its gain, its season). The gates say, from what the generator knows of each pixel, how strongly and with which
sign the pixel answers: fields of the same crop move together, water stays water. In other words the last layer of a
network is random, and its weights wander over the scene. Deviations are relative to the image's own brightness:
absolute ones of the size that bright soil has in the infrared would paint dark forest in all colours.

The residual is linear in the noise. So its mean is exactly 0, the deterministic image is the centre of all draws, and
noise with its sign turned gives the mirrored draw. It is trained with proper scoring rules (`rsspade.training.variety`)
on detached features: nothing of the deterministic image depends on it.

Samples come in blocks of eight: four draws and their mirror images, balanced, so that the spread of a block is at each
pixel the one that was learned. That of independent draws would itself be a draw, off by half of its size as often as
not with so few of them, and tell little of where to trust the image. Sample k is the same however many are asked for.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rsspade.models.edges import EdgeConv2d
from rsspade.models.noise import NoiseField
from rsspade.models.padding import Padding

__all__ = [
    "STRENGTH",
    "Noise",
    "VarietyHead",
    "brightness",
    "fields_of_samples",
    "finish",
    "noise_channels",
    "noise_of_field",
    "random_noise",
    "residuals_of_samples",
]

STRENGTH = 0.9
"""Share of the learned spread that is drawn: with all of it a single draw would be 3 dB worse than the middle."""

PER_LEVEL = 4
"""Noise channels of each level, and of the level EVERYWHERE."""

EVERYWHERE = 62
"""The level whose only cell is the whole scene."""

_HALF = 4
"""Draws of a block without their mirror images."""

_BLACK, _DARKEST, _BRIGHTEST = -1.1, 0.1, 2.0
"""Channels of a reflectance of −0.02, which is blacker than any, and the least and largest distance from there that
count: to 0 and to 0.38. Snow is brighter, and does not differ the more for it."""

_REACH = 2
"""Features beside a window that its gates depend on: one for the convolution, one for doubling."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise for a window of an image.

    Attributes:
        draws: S times (B, K, H, W); taken one by one, so that they may be made as they are needed.
        size: H and W of the window.
        corner: Row and column of its first pixel in the image.
    """

    draws: Iterable[Tensor]
    size: tuple[int, int]
    corner: tuple[int, int] = (0, 0)

    def cut(self, image: Tensor) -> Tensor:
        """The window of an image (…, H, W)."""
        (top, left), (height, width) = self.corner, self.size
        return image[..., top : top + height, left : left + width]


def noise_channels(depth: int) -> int:
    """K of a generator that halves its grid `depth` times: its levels 0 to `depth`, and EVERYWHERE."""
    return PER_LEVEL * (depth + 2)


class VarietyHead(nn.Module):
    """From the features that make the deterministic image, and noise, to residuals.

    Args:
        num_features: F.
        num_bands: C.
        depth: Of the generator.
        width: Features between F and the gates.
        scale: Pixels of the image per feature: 2 where the generator's last step doubles its features.
    """

    def __init__(self, num_features: int, num_bands: int, *, depth: int, width: int, scale: int = 1) -> None:
        super().__init__()
        self.depth = depth
        self.scale = scale
        self.hidden = EdgeConv2d(num_features, width, 3, padding=1)
        self.gates = nn.Conv2d(width, noise_channels(depth), 1)
        self.colours = nn.Conv2d(noise_channels(depth), num_bands, 1, bias=False)

    @classmethod
    def or_none(
        cls, num_features: int, num_bands: int, *, depth: int, width: int, scale: int = 1
    ) -> "VarietyHead | None":
        """A head, or None where its width is 0; the weights of whatever is built next are those drawn without it."""
        if width == 0:
            return None
        with torch.random.fork_rng(devices=[]):
            return cls(num_features, num_bands, depth=depth, width=width, scale=scale)

    def forward(self, features: Tensor, image: Tensor, padding: Padding, noise: Noise) -> tuple[Tensor, Tensor]:
        """Residuals (B, S, C, H, W) of the noise's window, and the variance (B, C, H, W) that they are drawn with.

        Args:
            features: Of the whole padded image.
            image: (B, C, …), the deterministic one, without padding.
            padding: What was added to the image.
            noise: Of a window of the image.
        """
        gates = self._gates(features, (padding.top + noise.corner[0], padding.left + noise.corner[1]), noise.size)
        unit = brightness(noise.cut(image))
        residuals = torch.stack([unit * self.colours(gates * draw) for draw in noise.draws], dim=1)
        # Noise has variance 1 at every pixel.
        return residuals, unit**2 * functional.conv2d(gates**2, self.colours.weight**2)

    def _gates(self, features: Tensor, corner: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """The gates (B, K, H, W) of a window; only the features below it, and those that reach into it, are looked at."""
        first = [max(start // self.scale - _REACH, 0) for start in corner]
        last = [-(-(start + length) // self.scale) + _REACH for start, length in zip(corner, size, strict=True)]
        x = features[..., first[0] : last[0], first[1] : last[1]]
        # Bounded: what lies beyond all that training has seen, such as snow, must not open them ever further.
        x = torch.tanh(self.gates(functional.leaky_relu(self.hidden(x), 0.2, inplace=True)))
        if self.scale > 1:
            x = functional.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        row, column = (start - skipped * self.scale for start, skipped in zip(corner, first, strict=True))
        return x[..., row : row + size[0], column : column + size[1]]


def finish(
    head: nn.Module,
    variety: VarietyHead | None,
    features: Tensor,
    padding: Padding,
    noise: Noise | None,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """The end of every generator: features -> the image (B, C, H, W); with noise also residuals and variance."""
    image: Tensor = padding.crop(head(features))
    if noise is None:
        return image
    if variety is None:
        raise ValueError("expected no noise, found some: this network was built without variety")
    return image, *variety(features.detach(), image.detach(), padding, noise)


def brightness(image: Tensor) -> Tensor:
    """What deviations from an image are measured by, band by band: its distance from black, in channels."""
    return (image - _BLACK).clamp(_DARKEST, _BRIGHTEST)


def fields_of_samples(samples: Sequence[int]) -> list[int]:
    """The numbers of the noise fields whose draws `residuals_of_samples` makes these samples of."""
    return [_HALF * block + n for block in _blocks(samples) for n in range(_HALF)]


def residuals_of_samples(residuals: Tensor, variance: Tensor, samples: Sequence[int]) -> Tensor:
    """The residuals (B, S, C, H, W) of samples, out of those (B, fields, C, H, W) of their blocks' noise fields.

    At each pixel all draws of a block are scaled by one number, for all bands: so that their mean square is the
    variance (B, C, H, W), summed over bands. Colours stay, and no draw goes further than all four together would.
    """
    blocks = residuals.unflatten(1, (-1, _HALF))  # type: ignore[no-untyped-call]
    drawn = blocks.square().mean(dim=2).sum(dim=2)  # (B, blocks, H, W)
    scale = (variance.sum(dim=1, keepdim=True) / drawn.clamp(min=torch.finfo(drawn.dtype).tiny)).sqrt()
    balanced, known = blocks * scale[:, :, None, None], _blocks(samples)
    picked = [
        balanced[:, known.index(n // (2 * _HALF)), n // 2 % _HALF] * (-1 if n % 2 else 1)  # a draw, its mirror image
        for n in samples
    ]
    return torch.stack(picked, dim=1)


def _blocks(samples: Sequence[int]) -> list[int]:
    return sorted({n // (2 * _HALF) for n in samples})


def noise_of_field(field: NoiseField, origin: tuple[int, int], size: tuple[int, int], depth: int) -> Tensor:
    """The noise of the tile whose first pixel lies at `origin` (row, column) of its scene: (K, H, W)."""
    levels = []
    for level in range(depth + 1):
        (row, height), (col, width) = (_cells(start, length, level) for start, length in zip(origin, size, strict=True))
        window = torch.from_numpy(field.window(level, row, col, height, width, PER_LEVEL))
        levels.append(_enlarge(window, origin, size, level))
    everywhere = torch.from_numpy(field.window(EVERYWHERE, 0, 0, 1, 1, PER_LEVEL))
    return torch.cat([*levels, everywhere.expand(-1, *size)])


def random_noise(
    keys: Sequence[Sequence[int]], draws: int, size: tuple[int, int], depth: int, device: torch.device
) -> list[Tensor]:
    """Independent noise for training, made on the device: draws × (B, K, H, W), each of the batch by its key alone."""
    counts = [_cells(0, size[0], n)[1] * _cells(0, size[1], n)[1] * PER_LEVEL * draws for n in range(depth + 1)]
    counts.append(PER_LEVEL * draws)
    drawn = []
    for key in keys:
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator(device=device).manual_seed(seed)
        drawn.append(torch.randn(sum(counts), generator=generator, device=device))
    parts = torch.split(torch.stack(drawn), counts, dim=1)
    levels = []
    for level, part in enumerate(parts[:-1]):
        height, width = (_cells(0, length, level)[1] for length in size)
        levels.append(_enlarge(part.view(-1, draws, PER_LEVEL, height, width), (0, 0), size, level))
    everywhere = parts[-1].view(-1, draws, PER_LEVEL, 1, 1)
    return list(torch.cat([*levels, everywhere.expand(-1, -1, -1, *size)], dim=2).unbind(dim=1))


def _cells(start: int, length: int, level: int) -> tuple[int, int]:
    """First cell and number of cells that pixels `start` to `start + length` of a scene need."""
    if level == 0:
        return start, length
    first, last = (start >> level) - 1, ((start + length - 1) >> level) + 1
    return first, last - first + 1


def _enlarge(cells: Tensor, origin: tuple[int, int], size: tuple[int, int], level: int) -> Tensor:
    """Cells (…, h, w) -> pixels (…, H, W), smooth, with deviation 1 at every pixel."""
    if level == 0:
        return cells
    rows, columns = (
        _spline(start % 2**level, length, level).to(cells.device) for start, length in zip(origin, size, strict=True)
    )
    return rows @ cells @ columns.T


@functools.lru_cache(maxsize=64)
def _spline(start: int, length: int, level: int) -> Tensor:
    """Weights (pixels, cells) of a quadratic B-spline; each row has length 1, or the deviation would show the grid."""
    first, count = _cells(start, length, level)
    place = (np.arange(start, start + length) + 0.5) / 2**level  # in cells
    distance = np.abs(place[:, None] - (np.arange(first, first + count) + 0.5))
    weights = np.where(distance < 0.5, 0.75 - distance**2, 0.5 * np.maximum(1.5 - distance, 0) ** 2)
    return torch.from_numpy((weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))).astype(np.float32))
