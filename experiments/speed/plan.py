"""What is measured how large: toy shows that it runs, cpu and gpu are for numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HEAVY", "LIMITS", "LIMIT_MB", "MODELS", "PRESETS", "Preset"]

MODELS: Mapping[str, Mapping[str, Any]] = {
    "rs_spade": {}, "pix2pix": {"model": "pix2pix"}, "control": {"model": "control"},
    # As Park et al. give it for 256 px.
    "spade": {"model": "spade", "generator.base_width": 64, "generator.depth": 6, "generator.hidden_width": 128},
}  # fmt: skip
"""Name -> its options of `train_gan.py`; all else is default."""

HEAVY = "spade"
"""Takes one turn where the others take several."""

LIMITS = {"spade": 1 / 6, "pix2pix": 2.5}
"""What a training step of rs_spade may cost at most, in steps of these."""

LIMIT_MB = 2000
"""What preparing a full Sentinel-2 scene may take."""

_SMALL = {
    "generator.base_width": 4, "generator.depth": 3, "discriminator.base_width": 4, "discriminator.layers": 2,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """How large.

    Attributes:
        device: Where the networks run.
        tile: Side of the tiles that are trained on, read and scored.
        scenes: Of the world they come from.
        batch: Tiles in a step and in an inference.
        precision: Of the training's arithmetic.
        rounds: In which all that is compared takes turns.
        turns: Calls in a row.
        scene: Side of the scene that is painted.
        prepared: Side of the scene that is prepared.
        worlds: Scenes of the world whose making is timed.
        scored: Tiles that are scored.
        smaller: Options that make all models small.
    """

    device: str = "cpu"
    tile: int = 256
    scenes: int = 4
    batch: int = 1
    precision: str = "fp32"
    rounds: int = 3
    turns: int = 5
    scene: int = 1024
    prepared: int = 10_980
    worlds: int = 12
    scored: int = 16
    smaller: Mapping[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """Name -> options."""
        return {name: {**own, "precision": self.precision, **self.smaller} for name, own in MODELS.items()}

    @property
    def model_turns(self) -> dict[str, int]:
        """Calls of each model in a row."""
        return {name: 1 if name == HEAVY else self.turns for name in MODELS}


PRESETS: Mapping[str, Preset] = {
    "toy": Preset(tile=64, scenes=3, rounds=2, turns=1, scene=192, prepared=512, worlds=1, scored=3, smaller=_SMALL),
    "cpu": Preset(),
    "gpu": Preset(device="cuda", scenes=12, batch=16, precision="bf16", rounds=5, turns=10, scene=4096),
}
