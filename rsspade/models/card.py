"""The model card: what the Hub shows beside the weights, made from the same description."""

from collections.abc import Mapping
from typing import Any

__all__ = ["model_card"]


def model_card(content: Mapping[str, Any]) -> str:
    """README.md of a generator folder, from the content of its `config.json`; no time and no path in it."""
    bands = ", ".join(content["output"]["bands"])
    sources = "\n".join(
        f"| `{name}` | {', '.join(entry['bands'])} | {entry['unit']} |" for name, entry in content["sources"].items()
    )
    training = "\n".join(f"| {name} | {_shown(value)} |" for name, value in content["training"].items())
    classes = ", ".join(f"{number} {name}" for number, name in content["landcover"]["classes"].items())
    size = f"{content['pixel_size_m']:g} m" if content["pixel_size_m"] else "unknown"
    return f"""---
library_name: rsspade
pipeline_tag: image-to-image
tags:
- remote-sensing
- sentinel-1
- sentinel-2
---

# {content["architecture"]["model"]}: optical images from {", ".join(content["sources"])}

Synthesises cloud-free optical images ({bands}; reflectance) from any subset of its sources.

```python
from rsspade.models import RSSpade

model = RSSpade.from_pretrained("THIS FOLDER")
image = model({{{", ".join(f'"{n}": {n}' for n in content["sources"])}}})  # any subset; (B, bands, H, W) in the units below
```

| source | bands | unit |
|---|---|---|
{sources}

Classes of the land cover ({content["landcover"]["scheme"]}): {classes}; 255 where unknown. Pixel size in training: {size}.

A synthetic image shows what is likely, not what was there: do not read changes or single objects from it.

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
