"""A trained segmentation network as a folder that explains itself: physical units in, probabilities or classes out."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from rsspade import __version__
from rsspade.channels import Scaling, encode
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme, scheme_named
from rsspade.models.folder import FolderKind, find_files, load_network, read_config, write_folder
from segmentation.models.config import SegmenterConfig, build_segmenter
from segmentation.models.contract import SegmentationNetwork

__all__ = ["Segmenter", "SegmenterInfo"]

FORMAT, VERSION = "rs-spade segmenter", 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmenterInfo:
    """Everything that must be known to use a network, and where it comes from.

    Attributes:
        architecture: Of the network.
        bands: Source -> its bands in the order of the channels.
        landcover_scheme: Of the classes.
        scaling: Between physical units and channels.
        pixel_size_m: Of its training tiles.
        split_sha256: The identity of the split it was trained on.
        training: Summary for people and reports; holds no time and no path.
        class_weights: Of the losses of its training, for each class; empty where all counted alike. They say which
            mistakes it was taught to fear, not how common a class is, and are taken out of what it predicts.
    """

    architecture: SegmenterConfig
    bands: dict[str, tuple[str, ...]]
    landcover_scheme: str
    scaling: Scaling = field(default_factory=Scaling)
    pixel_size_m: float | None = None
    split_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    class_weights: tuple[float, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """What it sees."""
        return tuple(self.architecture.sources)

    @property
    def scheme(self) -> Scheme:
        """Of the classes."""
        return scheme_named(self.landcover_scheme)

    def to_json(self) -> str:
        """As stored; the classes are spelled out for readers without this program."""
        content = {
            "format": FORMAT, "version": VERSION, "library_name": "rsspade", "made_with": f"rsspade {__version__}",
            "architecture": self.architecture.to_dict(), "bands": {n: list(b) for n, b in self.bands.items()},
            "landcover": {"scheme": self.landcover_scheme, "classes": {str(c.id): c.name for c in self.scheme.classes}},
            "scaling": self.scaling.to_dict(), "pixel_size_m": self.pixel_size_m, "split_sha256": self.split_sha256,
            "class_weights": list(self.class_weights), "training": self.training,
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
                architecture=SegmenterConfig.from_dict(content["architecture"]),
                bands={str(n): tuple(map(str, b)) for n, b in content["bands"].items()},
                landcover_scheme=content["landcover"]["scheme"], scaling=Scaling.from_dict(content["scaling"]),
                pixel_size_m=content["pixel_size_m"], split_sha256=content["split_sha256"],
                training=dict(content["training"]), class_weights=tuple(map(float, content.get("class_weights", ()))),
            )  # fmt: skip
            if {str(c.id): c.name for c in info.scheme.classes} != content["landcover"]["classes"]:
                raise ValueError(f"other classes under the name {info.landcover_scheme}")  # noqa: TRY301
            if set(info.bands) != set(info.sources) or len(info.scheme.classes) != info.architecture.num_classes:
                raise ValueError("bands or classes that are not the network's")  # noqa: TRY301
            if info.class_weights and not _fit(info.class_weights, len(info.scheme.classes)):
                raise ValueError("weights that are not of its classes")  # noqa: TRY301
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise _unreadable(
                where, f"the description of a network ({FORMAT} {VERSION})", f"{type(err).__name__}: {err}"
            ) from err
        return info


def _fit(weights: tuple[float, ...], classes: int) -> bool:
    return len(weights) == classes and all(0 < weight < math.inf for weight in weights)


class Segmenter(nn.Module):
    """A trained network: physical units in, logits out; `classify` for class ids, `probabilities` for softmax.

    A loss that weighs classes teaches probabilities that are too high for the heavy ones, in proportion to the weights; the
    logits here have them divided out again (Elkan 2001), so that borders are not drawn in favour of rare classes.

        model = Segmenter.from_pretrained("run/model")
        ids = model.classify({"s2": reflectance})  # (B, H, W) uint8, ids of model.info.scheme

    Args:
        network: As `build_segmenter` makes it.
        info: What it is.
    """

    tilt: Tensor

    def __init__(self, network: SegmentationNetwork, info: SegmenterInfo) -> None:
        super().__init__()
        self.network = network
        self.info = info
        weights = torch.tensor(info.class_weights or [1.0] * info.architecture.num_classes)
        self.register_buffer("tilt", weights.log()[:, None, None], persistent=False)

    def forward(self, sources: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits (B, K, H, W).

        Args:
            sources: Each of `info.sources`, (B, bands, h, w) in physical units, NaN where there is nothing.
            valid: Source -> (B, h, w), True where a pixel can be used, in addition.
        """
        if set(sources) != set(self.info.sources):
            raise InputError(
                explain("sources", expected=", ".join(self.info.sources), found=", ".join(sources) or "none",
                        fix="This network wants each of them and no others.")
            )  # fmt: skip
        masks = valid or {}
        channels = {n: encode(n, x, masks.get(n), scaling=self.info.scaling) for n, x in sources.items()}
        logits: Tensor = self.network(channels).logits
        return logits.float() - self.tilt

    @torch.no_grad()
    def probabilities(self, sources: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None) -> Tensor:
        """Softmax over the classes, (B, K, H, W)."""
        logits: Tensor = self(sources, valid)
        return logits.softmax(dim=1)

    @torch.no_grad()
    def classify(self, sources: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None) -> Tensor:
        """The likeliest class, (B, H, W) uint8 ids of the scheme."""
        logits: Tensor = self(sources, valid)
        ids = torch.tensor(self.info.scheme.ids, dtype=torch.uint8, device=logits.device)
        return ids[logits.argmax(dim=1)]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder whole, in place of an earlier one; other files in it stay."""
        text = self.info.to_json()
        write_folder(Path(folder), self.network, config=text, card=_card(json.loads(text)))

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu"
    ) -> Self:
        """Load a network from a folder, a run folder, or by its name on the Hub; in eval mode."""
        config, weights = find_files(name, revision, _KIND)
        info = SegmenterInfo.from_json(read_config(config, _KIND), config)
        network = load_network(lambda: build_segmenter(info.architecture), weights, _KIND)
        return cls(network, info).to(device).eval()


def _unreadable(where: object, expected: str, found: str) -> InputError:
    return InputError(
        explain(where, expected=expected, found=found, fix="Name a finished run, or its folder `model`, or restore it.")
    )


_KIND = FolderKind("model", _unreadable)


def _card(content: Mapping[str, Any]) -> str:
    """README.md of the folder, from the content of its `config.json`."""
    sources = "\n".join(f"| `{name}` | {', '.join(bands)} |" for name, bands in content["bands"].items())
    classes = ", ".join(f"{number} {name}" for number, name in content["landcover"]["classes"].items())
    training = "\n".join(f"| {name} | {_shown(value)} |" for name, value in content["training"].items())
    return f"""---
library_name: rsspade
pipeline_tag: image-segmentation
tags:
- remote-sensing
- land-cover
---

# {content["architecture"]["model"]}: land cover from {", ".join(content["bands"])}

```python
from segmentation.models import Segmenter

model = Segmenter.from_pretrained("THIS FOLDER")
ids = model.classify({{{", ".join(f'"{n}": {n}' for n in content["bands"])}}})  # (B, bands, H, W) in physical units
```

| source | bands |
|---|---|
{sources}

Classes ({content["landcover"]["scheme"]}): {classes}.

## Training

| | |
|---|---|
{training}
| split sha256 | `{content["split_sha256"]}` |
| made with | {content["made_with"]} |
"""


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
