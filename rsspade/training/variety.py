"""How generators learn to draw: noise for each step, and the score of what it makes of the image."""

import numpy as np
import torch
from torch import Tensor

from rsspade import losses
from rsspade.models.variety import Noise, random_noise
from rsspade.training.batches import Batch

__all__ = ["step_noise", "variety_losses"]

_DRAWS = 2
_KEY = 0x5EED


def step_noise(
    seed: int, step: int, positions: range, size: tuple[int, int], *, depth: int, device: torch.device
) -> Noise:
    """Two draws for a window of half the height and width, somewhere in the image: a quarter of the price.

    Args:
        seed: Of the run.
        step: Of the batch.
        positions: Of the micro-batch's samples in the batch, so that a sample's noise does not depend on who has it.
        size: Height and width of the image.
        depth: Of the generator.
        device: Where it is made.
    """
    height, width = (max(length // 2, 1) for length in size)
    rng = np.random.default_rng([_KEY, seed, step])
    corner = (int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1)))
    keys = [(_KEY, seed, step, position) for position in positions]
    return Noise(random_noise(keys, _DRAWS, (height, width), depth, device), (height, width), corner)


def variety_losses(residuals: Tensor | None, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The score of the draws by name; moves nothing but what makes the residuals."""
    noise = batch.noise
    if residuals is None or noise is None:
        return {}
    rows, columns = (slice(start, start + length) for start, length in zip(noise.corner, noise.size, strict=True))
    missing = (batch.optical - fake.detach().float())[..., rows, columns]
    return {"variety": losses.energy_score(residuals, missing, batch.valid[..., rows, columns])}
