"""How generators learn to draw: noise for each step, and the score of what it makes of the image."""

import numpy as np
import torch
from torch import Tensor, nn

from rsspade import losses
from rsspade.models.variety import Noise, brightness, random_noise
from rsspade.training.batches import Batch

__all__ = ["generate", "step_noise", "variety_loss"]

_DRAWS = 2
_CONTRAST = 3.0
_KEY = 0x5EED


def step_noise(
    seed: int, step: int, positions: range, size: tuple[int, int], *, depth: int, device: torch.device
) -> Noise:
    """Two draws for a window somewhere in the image, a third of its height and width.

    Half of both costs a fifth of a step on a CPU, the third a tenth.

    Args:
        seed: Of the run.
        step: Of the batch.
        positions: Of the micro-batch's samples in the batch, so that a sample's noise does not depend on who has it.
        size: Height and width of the image.
        depth: Of the generator.
        device: Where it is made.
    """
    height, width = (max(length // 3, 1) for length in size)
    rng = np.random.default_rng([_KEY, seed, step])
    corner = (int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1)))
    keys = [(_KEY, seed, step, position) for position in positions]
    return Noise(random_noise(keys, _DRAWS, (height, width), depth, device), (height, width), corner)


def generate(generator: nn.Module, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """The deterministic image and, where the batch has noise, residuals and their variance: in one call, for DDP."""
    if batch.noise is None:
        return generator(batch.conditions, batch.present, batch.when), None
    image, residuals, variance = generator(batch.conditions, batch.present, batch.when, batch.noise)
    return image, (residuals, variance)


def variety_loss(
    drawn: tuple[Tensor, Tensor], fake: Tensor, batch: Batch, *, energy: float = 2.0, likelihood: float = 1.0
) -> Tensor:
    """How well the draws tell what the image is missing; moves nothing but what makes them.

    The energy score shapes the draws, over all scales and in their colours, but hardly minds a spread that is right on
    average and wrong at each place; the likelihood at single pixels minds that most, and says nothing of neighbours.
    """
    assert batch.noise is not None
    (residuals, variance), cut = drawn, batch.noise.cut
    image, valid = cut(fake.detach().float()), cut(batch.valid)
    missing, unit = cut(batch.optical) - image, brightness(image)
    score = losses.energy_score(_with_contrasts(residuals / unit[:, None]), _with_contrasts(missing / unit), valid)
    return energy * score + likelihood * losses.spread_likelihood(variance, missing, valid)


def _with_contrasts(spectra: Tensor) -> Tensor:
    """(…, C, H, W) -> (…, 2 C − 1, H, W): the steps from band to band as well, or colours would hardly count."""
    return torch.cat([spectra, _CONTRAST * spectra.diff(dim=-3)], dim=-3)
