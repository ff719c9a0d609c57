"""What a cell is: a world or real tiles, the options of a training, and, once it has run, its scores.

The training is that of a generator, of a segmentation network (with the images of another cell's generator, where asked
for), or the fit of the random forest that such a network must beat. An answer that needs no training (the class-mean image,
the oracle) is a cell too, so that it is scored once and kept like the others.

A cell is found again by what was asked for (the world and the options given), so that an experiment that was interrupted
repeats nothing and two experiments share what they have in common. What it was really trained with, defaults included,
stands in its record; where a default has changed since, the record no longer counts.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from experiments.cells.answers import AnswerConfig
from experiments.cells.forest import ForestConfig
from experiments.cells.tiles import Tiles
from rsspade.config import TrainingConfig
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.options import flatten, unflatten
from rsspade.synthesis.residuals import RULE
from segmentation.config import SegmentationConfig

__all__ = ["GENERATIONS", "WEIGHTS", "Cell", "Config", "Data", "Question", "Record", "Synthetic", "World", "effective"]

GENERATIONS: Mapping[str, int] = {"generator": 1, "segmentation": 3, "forest": 1, "answer": 1}
"""To be raised when a change of the code moves the results of such a training: all earlier cells of its kind, and those that
rest on them, are then run anew."""

Config = TrainingConfig | SegmentationConfig | ForestConfig | AnswerConfig
_QUIET = {"tracker": "none", "resume": True, "keep_checkpoints": 1}
_KINDS: Mapping[str, tuple[type[Any], Mapping[str, Any]]] = {
    "generator": (TrainingConfig, {**_QUIET, "sample_tiles": 0, "generator.edges": "zeros"}),
    "segmentation": (SegmentationConfig, {**_QUIET, "sample_tiles": 0}),
    "forest": (ForestConfig, {}),
    "answer": (AnswerConfig, {}),
}
"""What can be trained: its options, and those of them that every cell has."""

WEIGHTS: Mapping[str, str] = {"generator": "generator", "segmentation": "model_last"}
"""The folder in a run whose weights count: the last ones; to choose among those on the way would be luck."""


@dataclass(frozen=True, slots=True)
class World:
    """A dataset of the built-in world, made once for all cells that name it.

    Attributes:
        images: Share of the training tiles that are there; of the others no file is, but their names, so that the split
            stays what it is.
        images_seed: Of that choice, which is the one of `segmentation.train --labels` with this seed.
        images_by: Whether it is one of single tiles or of whole scenes.
    """

    scenes: int = 24
    tile_size: int = 128
    scene_size: int = 512
    seed: int = 0
    variant: str = "a"
    images: float = 1.0
    images_seed: int = 0
    images_by: Literal["tile", "scene"] = "tile"

    @property
    def name(self) -> str:
        """Of its folder."""
        whole_scenes = "" if self.images_by == "tile" else "-scenes"
        part = "" if self.images == 1 else f"-images{self.images:g}-{self.images_seed}{whole_scenes}"
        return f"{self.variant}{self.seed}-{self.scenes}x{self.scene_size}-{self.tile_size}{part}"

    @property
    def whole(self) -> "World":
        """The same with all training tiles."""
        return dataclasses.replace(self, images=1.0, images_seed=0, images_by="tile")

    def to_json(self) -> dict[str, Any]:
        """Its fields; those of a part only where it is one, so that the keys of whole worlds stay what they were."""
        left_out = {"images", "images_seed"} if self.images == 1 else set()
        left_out |= {"images_by"} if self.images_by == "tile" else set()
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in left_out}

    @property
    def arguments(self) -> list[str]:
        """Of `rsspade world`."""
        values = {name.replace("_", "-"): value for name, value in self.whole.to_json().items()}
        return [*(word for name, value in values.items() for word in (f"--{name}", str(value))), "--oracle"]


Data = World | Tiles
"""What a cell can be trained and scored on."""


def _data(content: Mapping[str, Any]) -> Data:
    """Read what `to_json` of one of the two made."""
    return Tiles(**content) if "content" in content else World(**content)


@dataclass(frozen=True, slots=True)
class Question:
    """A score that is asked of a trained cell.

    Attributes:
        split: Of the dataset.
        sources: That the model may see; none for a segmentation network, which sees what it was trained with.
        world: Another world than the cell's, of which the model has seen nothing; or other parts of real tiles.
        by_tile: Whether the scores of each tile are kept beside those of all.
        edges: What a generator finds beyond a tile, as `rsspade.models.edges` has it; cells were begun with zeros.
    """

    split: str
    sources: tuple[str, ...] = ("s1", "lulc", "dem")
    world: Data | None = None
    by_tile: bool = False
    edges: str = "zeros"

    def __str__(self) -> str:
        where = "" if self.world is None else f"{self.world.name} "
        how = (" by tile" if self.by_tile else "") + (" edges repeated" if self.edges == "repeat" else "")
        return f"{where}{self.split} {'+'.join(self.sources)}".strip() + how

    def to_json(self) -> str:
        """For the command line of a worker."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        world = _data(content["world"]) if content["world"] else None
        by_tile, edges = content.get("by_tile", False), content.get("edges", "zeros")
        return cls(content["split"], tuple(content["sources"]), world, by_tile, edges)


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        world: Its data.
        options: Of its training script, by dotted name; all that the experiment depends on should stand here.
        trains: `generator`, `segmentation`, `forest` or `answer`.
        synthetic: The images that a segmentation network sees beside the real ones.
        begins_with: The cell whose generator a generator begins with; random weights where there is none.
    """

    world: Data
    options: Mapping[str, Any]
    trains: str = "generator"
    synthetic: "Synthetic | None" = None
    begins_with: "Cell | None" = None

    def with_(self, **changes: Any) -> Self:  # noqa: ANN401 (any option's value)
        """The same with other options; `__` stands for the dot."""
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        return dataclasses.replace(self, options={**self.options, **changed})

    @property
    def key(self) -> str:
        """Its name on the disk."""
        first = {} if self.rests_on is None else {"rests_on": self.rests_on.key}
        return _digest({"generation": GENERATIONS[self.trains], **first, **self.to_json()})

    def to_json(self) -> dict[str, Any]:
        """What was asked for; what a generator has no need of is left out, so that its key stays what it was."""
        asked: dict[str, Any] = {"world": self.world.to_json(), "options": dict(self.options)}
        if self.trains != "generator":
            asked["trains"] = self.trains
        if self.synthetic is not None:
            asked["synthetic"] = self.synthetic.to_json()
        if self.begins_with is not None:
            asked["begins_with"] = self.begins_with.to_json()
        return asked

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` made."""
        made, first = content.get("synthetic"), content.get("begins_with")
        return cls(
            _data(content["world"]), content["options"], content.get("trains", "generator"),
            None if made is None else Synthetic.from_json(made),
            None if first is None else Cell.from_json(first),
        )  # fmt: skip

    @property
    def rests_on(self) -> "Cell | None":
        """The generator without which this cell cannot be trained."""
        return self.begins_with if self.synthetic is None else self.synthetic.generator

    def config(self, data: Path, out: Path, synthetic: Path | None = None, first: Path | None = None) -> Config:
        """What the training script would make of it; refuses options that it would refuse."""
        kind, always = _KINDS[self.trains]
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in self.options.items()}
        places = {"data": data, "out": out, "synthetic": synthetic, "init_from": first}
        named = {name: None if path is None else str(path) for name, path in places.items()}
        made: Config = unflatten(kind, {**always, **options, **named})
        return made


@dataclass(frozen=True)
class Synthetic:
    """The images that the generator of a cell makes of all training tiles of its (whole) world.

    Attributes:
        generator: The cell.
        samples: Images per tile; 1 for the deterministic one.
        residuals: Real tiles that the generator has seen, whose residuals are laid over the images; 0 for plain ones.
        rule: By which they are laid over, as `rsspade.synthesis.residuals` has it.
    """

    generator: Cell
    samples: int = 1
    residuals: int = 0
    rule: int = RULE

    @property
    def key(self) -> str:
        """Its name on the disk."""
        return _digest({**self.to_json(), "generator": self.generator.key})

    def to_json(self) -> dict[str, Any]:
        """What was asked for."""
        # Named only where there are any, so that the keys of plain images stay what they were.
        residuals = {"residuals": self.residuals, "rule": self.rule} if self.residuals else {}
        return {"generator": self.generator.to_json(), "samples": self.samples, **residuals}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` made; the first residuals did not name their rule."""
        made = cls(Cell.from_json(content["generator"]), content["samples"])
        if "residuals" not in content:
            return made
        return dataclasses.replace(made, residuals=content["residuals"], rule=content.get("rule", 1))


def _digest(asked: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=list).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """A cell that has run.

    Attributes:
        world: Of the cell.
        options: Of the cell.
        config: All options of the training, defaults included, but for those that move no weight.
        parameters: Of the network; nodes of a forest; none of an answer.
        machine: Cores and architecture.
        date: When its training ended.
        commit: Of the code.
        seconds: That its training took, on a machine that may have had other things to do.
        scores: By question.
        trains: Of the cell.
        synthetic: Of the cell.
        begins_with: Of the cell.
        generator: As `config`, of the generator whose images it saw, or that it began with.
        curve: Validations on the way: step, epoch, mIoU and accuracy.
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
    trains: str = "generator"
    synthetic: Mapping[str, Any] | None = None
    begins_with: Mapping[str, Any] | None = None
    generator: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()

    @property
    def cell(self) -> Cell:
        """The cell that this is the record of."""
        return Cell.from_json(dataclasses.asdict(self))

    def is_current(self) -> bool:
        """Whether today's defaults would train the same; options that are new since then must be at their default."""
        cell = self.cell
        pairs = [(self.config, cell)]
        if cell.rests_on is not None:
            pairs.append((self.generator, cell.rests_on))
        for config, trained in pairs:
            now = effective(trained.config(Path("data"), Path("run")))
            if any(name not in now or now[name] != value for name, value in config.items()):
                return False
        return True

    def has_the_training_of(self, other: "Record") -> bool:
        """Whether both tell of the same training, which had its scores asked at different times."""
        return dataclasses.replace(self, scores={}).to_json() == dataclasses.replace(other, scores={}).to_json()

    def to_json(self) -> dict[str, Any]:
        """Its fields; those that a generator has no use for only where they say something."""
        content = dataclasses.asdict(self)
        idle: dict[str, Any] = {"generator": {}, "curve": ()}
        idle |= {"trains": "generator", "synthetic": None, "begins_with": None}
        return {name: value for name, value in content.items() if name not in idle or value != idle[name]}

    def write(self, path: Path) -> None:
        """Keep it."""
        write_bytes_atomically(path, (json.dumps(self.to_json(), indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def effective(config: Config) -> dict[str, Any]:
    """The options that move weights, as JSON holds them."""
    left_out = config.same_run | {"resume", "resume_from", "eval_every"}
    plain = {name: value for name, value in flatten(config).items() if name not in left_out}
    if "init_from" in plain:
        plain["init_from"] = None  # a place on this disk; what lies there is another cell, which is named
    found: dict[str, Any] = json.loads(json.dumps(plain))
    return found
