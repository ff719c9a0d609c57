"""Fine-tuning: a run that begins with the generator of another one; all else, the discriminator included, is fresh.

Both must be the same network for the same bands, sources and classes: weights that fit by chance of shape alone would
mean something else. How the running statistics of its norms move may differ.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rsspade.config import TrainingConfig
from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.models import GeneratorInfo, RSSpade
from rsspade.models.folder import CONFIG
from rsspade.synthesis.provenance import Origin

__all__ = ["Start", "read_start"]

_MAY_DIFFER = frozenset({"norm_momentum", "edges"})
_SAME_PIXELS = 0.01


@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with.

    Attributes:
        network: The other run's generator.
        origin: What is kept of it in this run's description: no path and no time.
    """

    network: nn.Module
    origin: dict[str, Any]

    def put_into(self, generator: nn.Module) -> None:
        """Give a fresh generator these weights, running statistics of its norms included."""
        generator.load_state_dict(self.network.state_dict())


def read_start(config: TrainingConfig, wanted: GeneratorInfo) -> Start | None:
    """The generator that `--init_from` names, where it is the one that this run would build; None where none is named."""
    if config.init_from is None:
        return None
    folder = _generator_folder(Path(config.init_from))
    model = RSSpade.from_pretrained(folder)
    for what, asked, found, fix in _differences(wanted, model.info):
        raise InputError(
            explain(f"--init_from {config.init_from}", expected=f"a generator with {what} {asked}, as this run",
                    found=f"one with {found}", fix=fix)
        )  # fmt: skip
    _warn_of_other_pixels(config.init_from, wanted.pixel_size_m, model.info.pixel_size_m)
    origin = Origin.of(folder, model.info).to_json()
    del origin["run"]  # `begun_with` stays, where it is there: what weights have seen does not go away
    begun = {"dataset": model.info.training.get("dataset"), **origin}
    return Start(model.network, begun)


def _generator_folder(path: Path) -> Path:
    found = next((folder for folder in (path, path / "generator") if (folder / CONFIG).is_file()), None)
    if found is None:
        raise InputError(
            explain(f"--init_from {path}", expected="a run folder with generator/ in it, or a generator folder", found="neither",
                    fix="Name the --out of a finished run, or leave it out to begin with random weights.")
        )  # fmt: skip
    return found


def _warn_of_other_pixels(name: str, here: float | None, there: float | None) -> None:
    if here and there and not math.isclose(here, there, rel_tol=_SAME_PIXELS):
        warnings.warn(
            f"--init_from {name}: it was trained on pixels of {there:g} m, this dataset has {here:g} m: its textures have "
            "another size here.",
            RSSpadeWarning, stacklevel=3,
        )  # fmt: skip


def _differences(wanted: GeneratorInfo, given: GeneratorInfo) -> Iterator[tuple[str, str, str, str]]:
    """What is not the same: name, this run's, the other's, what to do; the first alone is told."""
    asked, found = wanted.architecture.to_dict(), given.architecture.to_dict()
    # Another model has options of its own, and other sources have other channels: these say it best.
    first = [name for name in ("model", "sources") if list(asked[name]) != list(found[name])]
    if not first and "lulc" in wanted.sources and wanted.landcover_scheme != given.landcover_scheme:
        fix = f"Prepare the dataset with --landcover-to {given.landcover_scheme}."
        yield "land cover in the scheme", wanted.landcover_scheme, given.landcover_scheme, fix
    for name in first or [name for name in asked if name not in _MAY_DIFFER]:
        if asked[name] != found[name]:
            title, fix = _OPTIONS.get(name, (f"--generator.{name}", "Repeat the options that it was trained with."))
            yield title, _shown(asked[name]), _shown(found[name]), fix
    if wanted.scaling != given.scaling:
        yield "the scaling of", "this version", "that of another", "Train it anew with this version."


_OPTIONS = {
    "model": ("--model", "Name the same --model."),
    "sources": ("--sources", "Name the same --sources."),
    "season": ("--season", "Repeat the options that it was trained with."),
    "sun": ("--sun", "Repeat the options that it was trained with."),
    "optical_bands": ("the optical bands", "Prepare the dataset with the same --s2-bands."),
}


def _shown(value: object) -> str:
    """An option as it is typed."""
    return ",".join(map(str, value)) if isinstance(value, dict | list | tuple) else str(value).lower()
