"""The generators, the discriminator and what they are built of.

Needs torch, numpy and safetensors only (huggingface_hub for a name on the Hub), so that a trained generator can live
in somebody else's program.
"""

from rsspade.models.checkpoint import GeneratorInfo, RSSpade
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
    "MODELS", "DiscriminatorConfig", "GeneratorConfig", "GeneratorInfo", "RSSpade", "build_discriminator", "build_generator",
    "num_parameters", "num_stacked_channels", "stack_conditions",
]  # fmt: skip
