"""Where a synthetic image comes from, as it stands in `dataset.json` and in the tags of a GeoTIFF.

Names and hashes, no paths and no times: the same work gives the same bytes wherever it is done.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsspade import __version__
from rsspade.errors import InputError, explain
from rsspade.models import GeneratorInfo
from rsspade.models.info import beginnings

__all__ = ["Origin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The generator that painted an image.

    Attributes:
        run: The name of its run folder, for people; the hash is its identity.
        model: Its architecture.
        weights_sha256: Of `model.safetensors`.
        split_sha256: The identity of the split it was trained on.
        steps: How long it was trained; None where unknown.
        begun_with: The training before, where it began with the weights of another (`--init_from`); else empty.
    """

    run: str
    model: str
    weights_sha256: str
    split_sha256: str
    steps: int | None
    begun_with: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, info: GeneratorInfo) -> "Origin":
        """Of the generator in that folder, as `find_generator` finds it."""
        weights = folder / "model.safetensors"
        try:
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as err:
            raise InputError(
                explain(weights, expected="the weights of a generator", found=err.strerror or str(err), fix="Restore the file.")
            ) from err  # fmt: skip
        place = folder.resolve()
        steps = info.training.get("step")
        return cls(
            run=place.parent.name if place.name == "generator" else place.name, model=info.architecture.model,
            weights_sha256=digest, split_sha256=info.split_sha256, steps=steps if isinstance(steps, int) else None,
            begun_with=next(beginnings(info.training), {}),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As kept in `dataset.json`."""
        content = {
            "run": self.run, "model": self.model, "weights_sha256": self.weights_sha256,
            "split_sha256": self.split_sha256, "steps": self.steps,
        }  # fmt: skip
        return {**content, "begun_with": dict(self.begun_with)} if self.begun_with else content

    def tags(self, *, sources: Sequence[str], seed: int, sample: int, samples: int) -> dict[str, str]:
        """As kept in a GeoTIFF.

        Args:
            sources: What the generator saw.
            seed: Of the draws.
            sample: Number of the draw, from 1 on.
            samples: How many were drawn of this place; 1 for the deterministic image.
        """
        return {
            "synthetic": "1", "software": f"rsspade {__version__}", "run": self.run, "model": self.model,
            "weights_sha256": self.weights_sha256, "sources": ",".join(sources), "seed": str(seed),
            "sample": str(sample), "samples": str(samples),
        }  # fmt: skip
