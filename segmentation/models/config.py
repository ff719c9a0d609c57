"""What a segmentation network is made of, as typed options that travel in its checkpoint, and the networks built from them."""

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Self

from rsspade.errors import ConfigError, explain
from segmentation.config import SOURCES
from segmentation.models.contract import STRETCHES, SegmentationNetwork
from segmentation.models.rs_unet import RSUNet
from segmentation.models.smp_networks import LIBRARY, LibraryNetwork

__all__ = ["MODELS", "SegmenterConfig", "build_segmenter"]

MODELS = ("rs_unet", *LIBRARY)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmenterConfig:
    """A network.

    Attributes:
        model: One of `MODELS`.
        sources: Source -> channels that `rsspade.channels.encode` makes of it.
        num_classes: Of the scheme.
        base_width: Features at full resolution (rs_unet).
        depth: How many times the grid is halved (rs_unet).
        encoder: Of the models of segmentation_models_pytorch.
        stretch: What happens to reflectance before the first layer; folders without it are older, and had none.
        leak: Slope of the rectifiers below zero (rs_unet); folders without it are older, and had plain ones.
    """

    model: str = "rs_unet"
    sources: dict[str, int]
    num_classes: int
    base_width: int = 32
    depth: int = 5
    encoder: str = "resnet18"
    stretch: str = "none"
    leak: float = 0.0

    def __post_init__(self) -> None:
        _check("model", self.model in MODELS, f"one of {', '.join(MODELS)}", self.model)
        good = bool(self.sources) and all(n in SOURCES and _is_count(c) for n, c in self.sources.items())
        _check("sources", good, f"channels of {', '.join(SOURCES)}", self.sources)
        object.__setattr__(self, "sources", {n: self.sources[n] for n in SOURCES if n in self.sources})
        _check("num_classes", _is_count(self.num_classes) and self.num_classes >= 2, "at least 2", self.num_classes)
        _check("network.base_width", _is_count(self.base_width), "a whole number from 1 on", self.base_width)
        _check("network.depth", _is_count(self.depth) and 2 <= self.depth <= 5, "2 to 5", self.depth)
        _check("network.stretch", self.stretch in STRETCHES, f"one of {', '.join(STRETCHES)}", self.stretch)
        good = isinstance(self.leak, int | float) and not isinstance(self.leak, bool) and 0 <= self.leak < 1
        _check("network.leak", good, "0 ≤ value < 1", self.leak)
        _check("network.encoder", isinstance(self.encoder, str), "a name", self.encoder)

    def to_dict(self) -> dict[str, Any]:
        """As stored in a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote; refuses unknown and missing names."""
        known = {f.name for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        wrong = sorted(set(content) - known) + sorted(needed - set(content))
        _check("network", not wrong, f"the options {', '.join(sorted(known))}", ", ".join(wrong))
        return cls(**content)


def build_segmenter(config: SegmenterConfig, *, pretrained: str | None = None) -> SegmentationNetwork:
    """Fresh weights; `pretrained` names those that an encoder of the library begins with, and makes it download them."""
    if config.model == "rs_unet":
        return RSUNet(
            config.sources, config.num_classes, base_width=config.base_width, depth=config.depth, stretch=config.stretch,
            leak=config.leak,
        )  # fmt: skip
    return LibraryNetwork(
        config.model, config.sources, config.num_classes, encoder=config.encoder, weights=pretrained, stretch=config.stretch
    )  # fmt: skip


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check(where: str, good: bool, expected: str, found: object) -> None:
    if not good:
        raise ConfigError(explain(f"--{where}", expected=expected, found=repr(found), fix="Correct the value."))
