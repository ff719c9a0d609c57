"""What a cell is: a world, the options of a training, and, once it has run, its scores.

A cell is found again by what was asked for (the world and the options given), so that an experiment that was interrupted
repeats nothing and two experiments share what they have in common. What it was really trained with, defaults included,
stands in its record; where a default has changed since, the record no longer counts.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rsspade.config import SAME_RUN, TrainingConfig
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.options import flatten, unflatten

__all__ = ["GENERATION", "Cell", "Question", "Record", "World"]

GENERATION = 1
"""To be raised when a change of the code moves the results of a training: all earlier cells are then run anew."""


@dataclass(frozen=True, slots=True)
class World:
    """A dataset of the built-in world, made once for all cells that name it."""

    scenes: int = 24
    tile_size: int = 128
    scene_size: int = 512
    seed: int = 0
    variant: str = "a"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}{self.seed}-{self.scenes}x{self.scene_size}-{self.tile_size}"

    @property
    def arguments(self) -> list[str]:
        """Of `rsspade world`."""
        values = {f.name.replace("_", "-"): getattr(self, f.name) for f in dataclasses.fields(self)}
        return [*(word for name, value in values.items() for word in (f"--{name}", str(value))), "--oracle"]


@dataclass(frozen=True, slots=True)
class Question:
    """A score that is asked of a trained cell.

    Attributes:
        split: Of the dataset.
        sources: That the model may see.
        world: Another world than the cell's, of which the model has seen nothing.
    """

    split: str
    sources: tuple[str, ...] = ("s1", "lulc", "dem")
    world: World | None = None

    def __str__(self) -> str:
        where = "" if self.world is None else f"{self.world.name} "
        return f"{where}{self.split} {'+'.join(self.sources)}"

    def to_json(self) -> str:
        """For the command line of a worker."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        world = World(**content["world"]) if content["world"] else None
        return cls(content["split"], tuple(content["sources"]), world)


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        world: Its data.
        options: Of `train_gan.py`, by dotted name; all that the experiment depends on should stand here.
    """

    world: World
    options: Mapping[str, Any]

    def with_(self, **changes: Any) -> Self:  # noqa: ANN401 (any option's value)
        """The same with other options; `__` stands for the dot."""
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        return dataclasses.replace(self, options={**self.options, **changed})

    @property
    def key(self) -> str:
        """Its name on the disk."""
        asked = {
            "generation": GENERATION,
            "world": dataclasses.asdict(self.world),
            "options": dict(sorted(self.options.items())),
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()[:16]

    def config(self, data: Path, out: Path) -> TrainingConfig:
        """What `train_gan.py` would make of it; refuses options that it would refuse."""
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in self.options.items()}
        quiet = {"tracker": "none", "sample_tiles": 0, "resume": True, "keep_checkpoints": 1}
        return unflatten(TrainingConfig, {**quiet, **options, "data": str(data), "out": str(out)})


@dataclass(frozen=True)
class Record:
    """A cell that has run.

    Attributes:
        world: Of the cell.
        options: Of the cell.
        config: All options of the training, defaults included, but for those that move no weight.
        parameters: Of the generator.
        machine: Cores and architecture.
        date: When its training ended.
        commit: Of the code.
        seconds: That its training took, on a machine that may have had other things to do.
        scores: By question.
    """

    world: Mapping[str, Any]
    options: Mapping[str, Any]
    config: Mapping[str, Any]
    parameters: int
    machine: str
    date: str
    commit: str
    seconds: float
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def cell(self) -> Cell:
        """The cell that this is the record of."""
        return Cell(World(**self.world), self.options)

    def is_current(self) -> bool:
        """Whether today's defaults would train the same; options that are new since then must be at their default."""
        now = effective(self.cell.config(Path("data"), Path("run")))
        return all(name in now and now[name] == value for name, value in self.config.items())

    def write(self, path: Path) -> None:
        """Keep it."""
        write_bytes_atomically(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def effective(config: TrainingConfig) -> dict[str, Any]:
    """The options that move weights, as JSON holds them."""
    left_out = SAME_RUN | {"resume", "resume_from", "eval_every"}
    plain = {name: value for name, value in flatten(config).items() if name not in left_out}
    found: dict[str, Any] = json.loads(json.dumps(plain))
    return found
