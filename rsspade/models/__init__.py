"""The generators, the discriminator and what they are built of.

Needs torch and numpy only, so that a trained generator can live in somebody else's program.
"""

from rsspade.models.config import (
    MODELS,
    DiscriminatorConfig,
    GeneratorConfig,
    build_discriminator,
    build_generator,
    num_parameters,
)
from rsspade.models.embedding import num_stacked_channels, stack_conditions

__all__ = [
    "MODELS", "DiscriminatorConfig", "GeneratorConfig", "build_discriminator", "build_generator",
    "num_parameters", "num_stacked_channels", "stack_conditions",
]  # fmt: skip
