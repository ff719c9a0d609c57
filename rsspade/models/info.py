"""What must be known of a trained generator, as it stands in its `config.json`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rsspade import __version__
from rsspade.channels import Scaling
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme, scheme_named
from rsspade.models.config import GeneratorConfig
from rsspade.sources import source_named

__all__ = ["GeneratorInfo", "beginnings", "unreadable"]

FORMAT, VERSION = "rs-spade generator", 1


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorInfo:
    """Everything that must be known to use a generator, and where it comes from.

    Attributes:
        architecture: Of the network.
        scaling: Between physical units and its channels.
        landcover_scheme: Of the class ids it was trained with.
        pixel_size_m: Of its training tiles.
        split_sha256: The identity of the split it was trained on.
        training: Summary for people and reports: steps, seed, scores. Holds no time and no path, so that the same
            training gives the same bytes.
    """

    architecture: GeneratorConfig
    scaling: Scaling = field(default_factory=Scaling)
    landcover_scheme: str = "dynamic_world"
    pixel_size_m: float | None = None
    split_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources it can use."""
        return tuple(self.architecture.sources)

    @property
    def scheme(self) -> Scheme:
        """Of the class ids."""
        return scheme_named(self.landcover_scheme)

    def to_json(self) -> str:
        """As stored; sources and classes are spelled out for readers without this program."""
        content = {
            "format": FORMAT, "version": VERSION, "library_name": "rsspade", "made_with": f"rsspade {__version__}",
            "architecture": self.architecture.to_dict(),
            "sources": {n: {"bands": list(source_named(n).band_names), "unit": source_named(n).unit} for n in self.sources},
            "output": {"bands": list(self.architecture.optical_bands), "unit": "reflectance"},
            "scaling": self.scaling.to_dict(),
            "landcover": {"scheme": self.landcover_scheme, "classes": {str(c.id): c.name for c in self.scheme.classes}},
            "pixel_size_m": self.pixel_size_m, "split_sha256": self.split_sha256, "training": self.training,
        }  # fmt: skip
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: object) -> Self:
        """Read what `to_json` wrote; refuses what this program would understand differently."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(f"{content['format']!r} version {content['version']!r}")  # noqa: TRY301 (one handler)
            info = cls(
                architecture=GeneratorConfig.from_dict(content["architecture"]),
                scaling=Scaling.from_dict(content["scaling"]),
                landcover_scheme=content["landcover"]["scheme"], pixel_size_m=content["pixel_size_m"],
                split_sha256=content["split_sha256"], training=dict(content["training"]),
            )  # fmt: skip
            if {str(c.id): c.name for c in info.scheme.classes} != content["landcover"]["classes"]:
                raise ValueError(f"other classes under the name {info.landcover_scheme}")  # noqa: TRY301
            for name in info.sources:
                if list(source_named(name).band_names) != content["sources"][name]["bands"]:
                    raise ValueError(f"other bands of {name}")  # noqa: TRY301
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise unreadable(
                where, f"the description of a generator ({FORMAT} {VERSION})", f"{type(err).__name__}: {err}"
            ) from err
        return info


def unreadable(where: object, expected: str, found: str) -> InputError:
    """The error of a generator folder that cannot be understood."""
    return InputError(
        explain(
            where, expected=expected, found=found, fix="Name the folder `generator` of a finished run, or restore it."
        )
    )


def beginnings(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The trainings that weights went through before their own (`--init_from`), the latest first.

    Args:
        training: What holds `begun_with`: the summary of a training, or the origin of an image.
    """
    begun = training.get("begun_with")
    while isinstance(begun, Mapping) and begun:
        yield begun
        begun = begun.get("begun_with")
