"""Made images, brought class by class to what real ones are in the mean where such a thing was made.

Shape letters: C bands, F features, H W pixels.

A generator errs by more than what it leaves open: it may tell a crop's greenness with too much certainty, or draw details where there
are none. What it makes then varies beside the truth, and residuals laid over it come on top, so that classes overlap more than in real
images. A linear regression of the real values on the made ones (all bands, as they are around a pixel and as the pixel differs from that)
keeps what tells of the truth; what it leaves over is not correlated with what it keeps, so that the two together vary as
real images do.
"""

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from rsspade.sources import UNLABELLED

__all__ = ["Calibration"]

AROUND = 2
"""How far the surroundings of a pixel reach, in pixels."""

TRUST = 1000.0
"""How many pixels of a class say as much as the belief that the generator is right."""


class Calibration:
    """Learned from pairs of a made and a real image, in logarithms of reflectance; then applied to made ones."""

    def __init__(self) -> None:
        self._sums: dict[int, _Sums] = {}
        self._answers: dict[int, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = {}

    def see(self, made: Tensor, real: Tensor, classes: Tensor) -> Self:
        """One more pair (C, H, W) and its classes (H, W), `UNLABELLED` where it says nothing."""
        features = _features(made)
        for number in _held(classes):
            own = classes == number
            sums = self._sums.setdefault(number, _Sums(len(features), len(real)))
            sums.add(features[:, own].T, real[:, own].T)
            self._answers.pop(number, None)
        return self

    def __call__(self, made: Tensor, classes: Tensor) -> Tensor:
        """The image (C, H, W) that is expected where this was made; classes that were never seen stay as they are."""
        features, expected = _features(made), made.clone()
        for number in _held(classes):
            if number not in self._sums:
                continue
            if number not in self._answers:
                self._answers[number] = self._sums[number].solve()
            lowest, highest, middle, weights, mean = (x.to(made) for x in self._answers[number])
            own = classes == number
            seen = features[:, own].T.clamp(min=lowest, max=highest)  # nothing is said of what was never made
            expected[:, own] = (mean + (seen - middle) @ weights).T
        return expected


class _Sums:
    """Of the pixels of a class: what a regression needs."""

    def __init__(self, features: int, bands: int) -> None:
        self.count = 0
        self.x, self.y = torch.zeros(features, dtype=torch.double), torch.zeros(bands, dtype=torch.double)
        self.xx, self.xy = (
            torch.zeros(features, features, dtype=torch.double),
            torch.zeros(features, bands, dtype=torch.double),
        )
        self.lowest, self.highest = torch.full_like(self.x, torch.inf), torch.full_like(self.x, -torch.inf)

    def add(self, features: Tensor, real: Tensor) -> None:
        """Pixels (N, F) and (N, C)."""
        x, y = features.cpu().double(), real.cpu().double()  # Apple's GPUs have no doubles
        self.count += len(x)
        self.x, self.y = self.x + x.sum(dim=0), self.y + y.sum(dim=0)
        self.xx, self.xy = self.xx + x.T @ x, self.xy + x.T @ y
        self.lowest = torch.minimum(self.lowest, x.amin(dim=0))
        self.highest = torch.maximum(self.highest, x.amax(dim=0))

    def solve(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Limits of the features, their mean, weights (F, C), and the mean of the bands."""
        x, y = self.x / self.count, self.y / self.count
        xx, xy = self.xx - self.count * torch.outer(x, x), self.xy - self.count * torch.outer(x, y)
        bands = len(y)
        as_made = torch.eye(bands, dtype=torch.double).repeat(len(x) // bands, 1)
        belief = TRUST * xx.diagonal().mean() / self.count * torch.eye(len(x), dtype=torch.double)
        tiny = torch.finfo(torch.float).eps * torch.eye(len(x), dtype=torch.double)  # one value alone has no spread
        weights = torch.linalg.solve(xx + belief + tiny, xy + (belief + tiny) @ as_made)
        return self.lowest, self.highest, x, weights, y


def _features(made: Tensor) -> Tensor:
    """(C, H, W) -> (2 C, H, W): the surroundings of each pixel, and how it differs from them."""
    margins = functional.pad(made[None], (AROUND,) * 4, mode="replicate")
    around = functional.avg_pool2d(margins, 2 * AROUND + 1, stride=1)[0]
    return torch.cat([around, made - around])


def _held(classes: Tensor) -> list[int]:
    return [number for number in torch.unique(classes).tolist() if number != UNLABELLED]
