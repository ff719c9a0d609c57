"""What a network is made of, as typed options that travel in its checkpoint, and the networks built from them."""

import difflib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

from torch import nn

from rsspade.channels import WHEN, num_when
from rsspade.errors import ConfigError, explain
from rsspade.models.discriminator import NORMS as DISCRIMINATOR_NORMS
from rsspade.models.discriminator import PatchDiscriminator
from rsspade.models.edges import EDGES, set_edges
from rsspade.models.norms import NORMS, set_norm
from rsspade.models.pix2pix import Pix2PixGenerator
from rsspade.models.rs_spade import RSSpadeGenerator
from rsspade.models.spade import SpadeGenerator
from rsspade.sources import CONDITIONS

__all__ = [
    "MODELS", "DiscriminatorConfig", "GeneratorConfig", "build_discriminator", "build_generator", "num_parameters",
]  # fmt: skip


# Of all variants measured at equal time the three finest did best, and cost a fifth less than all of them.
_DEFAULT_MODULATE = "finest-3"


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorConfig:
    """A generator.

    Attributes:
        model: `rs_spade`, `pix2pix`, `spade`, or `control` (rs_spade with plain norms).
        sources: Source -> channels that `rsspade.channels.encode` makes of it; kept in the order s1, lulc, dem.
        optical_bands: The output bands in order.
        base_width: Features of the first (pix2pix, rs_spade: after the first halving) level.
        depth: How many times the grid is halved.
        modulate: Which decoder norms of rs_spade are modulated: `all` (the paper), `none`, `finest-N`, or a tuple of
            levels (0 is full resolution, 1 half, …).
        embedding_width: Features of each source's embedding (rs_spade, control).
        full_width: Decoder features at full resolution (rs_spade, control).
        hidden_width: Features between sources and modulation (spade).
        season: Whether the day of year can be given.
        sun: Whether the place of the sun can be given.
        norm_momentum: Share of the newest batch in the running statistics of the norms.
        variety_width: Features of the head that draws residuals, so that samples differ; 0 for none, which is what
            checkpoints have that do not name it.
        edges: What the trained network finds beyond its image, `repeat` or `zeros` (see `rsspade.models.edges`); zeros is what
            checkpoints have that do not name it.
        norm: What it normalises over, `batch` or `group` (see `rsspade.models.norms`).
    """

    model: str = "rs_spade"
    sources: dict[str, int]
    optical_bands: tuple[str, ...]
    base_width: int = 16
    depth: int = 5
    modulate: str | tuple[int, ...] = _DEFAULT_MODULATE
    embedding_width: int = 8
    full_width: int = 8  # at 16 a training step costs a third more
    hidden_width: int = 128
    season: bool = False
    sun: bool = False
    norm_momentum: float = 0.1
    variety_width: int = 0
    edges: str = "zeros"
    norm: str = "batch"

    def __post_init__(self) -> None:
        _check_choice("generator.model", self.model, tuple(MODELS))
        _check_choice("generator.edges", self.edges, EDGES)
        _check_choice("generator.norm", self.norm, NORMS)
        _check_whole_numbers(self, "generator", ("base_width", "embedding_width", "full_width", "hidden_width"))
        _check_whole_numbers(self, "generator", ("variety_width",), lowest=0)
        if not isinstance(self.depth, int) or isinstance(self.depth, bool) or not 2 <= self.depth <= 8:
            raise ConfigError(_sentence("generator.depth", "a whole number from 2 to 8", repr(self.depth)))
        _check_sources(self.sources)
        ordered = sorted(self.sources, key=lambda n: CONDITIONS.index(n) if n in CONDITIONS else len(CONDITIONS))
        # A config that went through a sorted JSON file must not feed the channels in another order.
        object.__setattr__(self, "sources", {name: self.sources[name] for name in ordered})
        object.__setattr__(self, "optical_bands", tuple(self.optical_bands))
        if not self.optical_bands or len(set(self.optical_bands)) != len(self.optical_bands):
            raise ConfigError(_sentence("generator.optical_bands", "names, each once", repr(self.optical_bands)))
        if not isinstance(self.modulate, str | int):
            object.__setattr__(self, "modulate", tuple(self.modulate))  # JSON and YAML hand in a list
        self.modulated_levels()
        if self.model != "rs_spade" and self.modulate != _DEFAULT_MODULATE:
            raise ConfigError(
                _sentence(
                    "generator.modulate", f"the default, since {self.model} has no use for it", repr(self.modulate)
                )
            )
        for name in WHEN:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(_sentence(f"generator.{name}", "true or false", repr(getattr(self, name))))
        if not isinstance(self.norm_momentum, float) or not 0 < self.norm_momentum <= 1:
            raise ConfigError(_sentence("generator.norm_momentum", "a number in (0, 1]", repr(self.norm_momentum)))

    @property
    def told(self) -> tuple[str, ...]:
        """What the network is told of the moment of the image, in the order of its channels."""
        return tuple(name for name in WHEN if getattr(self, name))

    def modulated_levels(self) -> tuple[int, ...]:
        """The levels that `modulate` names, fine to coarse."""
        if self.model != "rs_spade" or self.modulate == "none":
            return ()
        if self.modulate == "all":
            return tuple(range(self.depth))
        if isinstance(self.modulate, str):
            word, _, count = self.modulate.partition("-")
            if word == "finest" and count.isdecimal() and 1 <= int(count) <= self.depth:
                return tuple(range(int(count)))
        elif isinstance(self.modulate, tuple) and set(self.modulate) <= set(range(self.depth)):
            return tuple(sorted(set(self.modulate)))
        expected = f"all, none, finest-1 … finest-{self.depth}, or levels out of 0 … {self.depth - 1}"
        raise ConfigError(_sentence("generator.modulate", expected, repr(self.modulate)))

    def to_dict(self) -> dict[str, Any]:
        """As stored in a checkpoint: plain values that JSON and YAML know."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote; an unknown or a missing name is refused."""
        return cls(**_known(cls, "generator", content))


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    """A discriminator.

    Attributes:
        condition_channels: Planes of the sources, `num_stacked_channels`.
        optical_channels: Bands of the image.
        base_width: Features after the first convolution.
        layers: Halvings; three make patches of 70 px.
        scales: How many copies, each on an image half as large.
        norm: `none`, `instance` or `spectral`.
    """

    condition_channels: int
    optical_channels: int
    base_width: int = 32
    layers: int = 3
    scales: int = 1
    norm: str = "spectral"

    def __post_init__(self) -> None:
        _check_choice("discriminator.norm", self.norm, DISCRIMINATOR_NORMS)
        names = tuple(f.name for f in fields(self) if f.name != "norm")
        _check_whole_numbers(self, "discriminator", names)

    def to_dict(self) -> dict[str, Any]:
        """As stored in a checkpoint: plain values that JSON and YAML know."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote; an unknown or a missing name is refused."""
        return cls(**_known(cls, "discriminator", content))


def _rs_spade(config: GeneratorConfig) -> nn.Module:
    return RSSpadeGenerator(
        config.sources, len(config.optical_bands), base_width=config.base_width, depth=config.depth,
        modulated=config.modulated_levels(), embedding_width=config.embedding_width, full_width=config.full_width,
        when_channels=num_when(config.told), momentum=config.norm_momentum, variety_width=config.variety_width,
    )  # fmt: skip


def _pix2pix(config: GeneratorConfig) -> nn.Module:
    return Pix2PixGenerator(
        config.sources, len(config.optical_bands), base_width=config.base_width, depth=config.depth,
        when_channels=num_when(config.told), momentum=config.norm_momentum, variety_width=config.variety_width,
    )  # fmt: skip


def _spade(config: GeneratorConfig) -> nn.Module:
    return SpadeGenerator(
        config.sources, len(config.optical_bands), base_width=config.base_width, depth=config.depth,
        hidden_width=config.hidden_width, when_channels=num_when(config.told), momentum=config.norm_momentum,
        variety_width=config.variety_width,
    )  # fmt: skip


MODELS: dict[str, Callable[[GeneratorConfig], nn.Module]] = {
    "rs_spade": _rs_spade,
    "pix2pix": _pix2pix,
    "spade": _spade,
    "control": _rs_spade,  # without a modulated level
}


def build_generator(config: GeneratorConfig) -> nn.Module:
    """The generator that the config describes, with fresh weights."""
    network = MODELS[config.model](config)
    set_norm(network, config.norm)
    set_edges(network, config.edges)
    return network


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """The discriminator that the config describes, with fresh weights."""
    return PatchDiscriminator(
        config.condition_channels, config.optical_channels, base_width=config.base_width, layers=config.layers,
        scales=config.scales, norm=config.norm,
    )  # fmt: skip


def num_parameters(module: nn.Module) -> int:
    """How many trainable numbers a network has."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _sentence(where: str, expected: str, found: str) -> str:
    return explain(where, expected=expected, found=found, fix="Correct the option.")


def _check_choice(where: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        fix = f"Did you mean {near[0]}?" if near else "Correct the option."
        raise ConfigError(explain(where, expected=f"one of {', '.join(known)}", found=repr(value), fix=fix))


def _check_whole_numbers(config: object, where: str, names: tuple[str, ...], *, lowest: int = 1) -> None:
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            expected = "a whole number above 0" if lowest else "0 or a whole number above"
            raise ConfigError(_sentence(f"{where}.{name}", expected, repr(value)))


def _check_sources(sources: object) -> None:
    good = isinstance(sources, dict) and sources and all(
        isinstance(name, str) and name.isidentifier() and isinstance(count, int) and count > 0
        for name, count in sources.items()
    )  # fmt: skip
    if not good:
        raise ConfigError(_sentence("generator.sources", "at least one name with its channels", repr(sources)))


def _to_dict(config: Any) -> dict[str, Any]:  # noqa: ANN401
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return {k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, dict) else v for k, v in values.items()}


def _known(cls: type, where: str, content: dict[str, Any]) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    for name in content:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            fix = f"Did you mean {near[0]}?" if near else "Remove the option."
            raise ConfigError(
                explain(f"{where}.{name}", expected=f"one of {', '.join(names)}", found=repr(name), fix=fix)
            )
    missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in content]
    if missing:
        raise ConfigError(explain(where, expected=", ".join(missing), found="nothing", fix="Restore what was stored."))
    return content
