"""Which cells the question consists of, and which of them are held against each other."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.cells.cell import Cell, Question, Synthetic, World
from experiments.table1_generators.plan import MODELS, SHARED

__all__ = ["CONTRASTS", "PARTS", "PRESETS", "REAL", "REGIMES", "Contrast", "Preset", "arms", "questions"]

REGIMES = {
    "all": "all labels",
    "few": "the same {few} for everything",
    "sources": "{few} of the clear images, sources of all tiles",
}
"""How much there is. `few`: the generator is trained on, and makes images of, the few labelled tiles. `sources`: it is
trained on the same few, but makes images of all training tiles, which have radar, land cover and relief."""

REAL = {"all": "true all", "few": "true few", "sources": "true few"}
"""The arm of real tiles alone that a regime's Mix is held against."""

GENERATOR: Mapping[str, Any] = {**SHARED, **MODELS["rs_spade"]}
"""That of `table1_generators`, so that a training is not made twice."""

SEGMENTER: Mapping[str, Any] = {
    "model": "rs_unet", "network.base_width": 8, "network.stretch": "log", "loss.class_power": 0.5, "loss.dice": 0.5,
    "loader.crop_size": 64, "batch_size": 8, "lr": 5e-3, "optimizer.warmup": 50, "optimizer.ema_decay": 0.98,
    "optimizer.clip_norm": 1.0,
}  # fmt: skip
"""Of the small size; trained on crops, which are drawn anew each time, flipped and turned."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of the experiment.

    Attributes:
        world: Its data.
        fresh: Another world; every network is scored on its train split too, which nothing has seen: the test split of
            the first has few scenes.
        steps: Of a network; of one that sees real tiles alone for as many epochs as Mix does, half as many.
        evaluations: On the way.
        generator_steps: Of a generator.
        few_generator_steps: Of one that has seen few tiles, which it knows sooner.
        few: Share of the training tiles where there are few.
        scarce: Share of the training scenes where there are hardly any.
        shares: Shares between few and all.
        seeds: Of the core; the first `factor_seeds` of them, of all else.
        factor_seeds: How many.
        forest: Pixels and trees of the forest.
        segmenter: Options of the network.
        generator: Options of the generator beside `GENERATOR`.
    """

    world: World
    fresh: World
    steps: int
    evaluations: int
    generator_steps: int
    few_generator_steps: int
    few: float
    scarce: float
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    factor_seeds: int
    forest: Mapping[str, Any]
    segmenter: Mapping[str, Any]
    generator: Mapping[str, Any]


PRESETS: Mapping[str, Preset] = {
    "toy": Preset(
        world=World(scenes=3, tile_size=64, scene_size=128), fresh=World(scenes=3, tile_size=64, scene_size=128, seed=1000),
        steps=20, evaluations=4, generator_steps=2, few_generator_steps=2, few=0.5, scarce=0.5, shares=(0.75,), seeds=(100, 101),
        factor_seeds=1, forest={"pixels": 400, "trees": 4},
        segmenter={
            **SEGMENTER, "network.base_width": 4, "network.depth": 2, "batch_size": 2, "optimizer.warmup": 0,
            "optimizer.ema_decay": 0.0,
        },
        generator={"generator.base_width": 4, "generator.depth": 3, "batch_size": 1, "optimizer.warmup": 0, "lr": 2e-3},
    ),
    # World, seeds, steps and rate of the generators are those of the cpu preset of table1_generators.
    "cpu": Preset(
        world=World(scenes=96), fresh=World(scenes=48, seed=1000), steps=2400, evaluations=6, generator_steps=2000,
        few_generator_steps=1000, few=0.1, scarce=0.03, shares=(0.5, 0.25), seeds=tuple(range(100, 110)), factor_seeds=5, forest={},
        segmenter=SEGMENTER, generator={"lr": 4e-3},
    ),
    # As in the paper: 1558 training tiles (here 1552) of 256 px, 50 epochs of them and as many synthetic ones, whole tiles.
    "gpu": Preset(
        world=World(scenes=139, tile_size=256, scene_size=1024), fresh=World(scenes=24, tile_size=256, scene_size=1024, seed=1000),
        steps=2 * 50 * 1552 // 16, evaluations=50, generator_steps=6000, few_generator_steps=6000, few=0.1, scarce=0.03, shares=(0.5, 0.25),
        seeds=tuple(range(100, 110)), factor_seeds=5, forest={},
        segmenter={
            "model": "rs_unet", "network.stretch": "log", "loss.class_power": 0.5, "loss.dice": 0.5, "batch_size": 16,
            "lr": 1e-3, "optimizer.warmup": 100,
        },
        generator={"batch_size": 16, "lr": 2e-3},
    ),
}  # fmt: skip

By = Literal["tile", "scene"]
PARTS = ("forest", "core", "scenes", "images", "until", "ratio", "samples", "labels", "augmentation")
FACTORS = PARTS[2:]
RATIOS = (0.25, 0.5, 2.0)
ADVERSARIAL = 0.02
"""Weight of the adversarial loss, that of `table1_generators`, of a generator whose images have more contrast."""
UNTIL = 0.7
"""Share of the steps with synthetic tiles where the last ones see real tiles alone."""
LEARNER = 2.0
"""How much longer than the others the network is trained that is held against the forest: can it learn, given time?"""
SAMPLES = 4
RESIDUALS = 256
"""Real tiles that lend their residuals to the synthetic images."""


def questions(preset: Preset, cell: Cell) -> tuple[Question, ...]:
    """What a cell is asked; the first is what the experiment is decided by."""
    if cell.trains == "generator":
        return (Question("test"),)
    return Question("train", (), preset.fresh), Question("test", ())


def generator(preset: Preset, seed: int, share: float, *, by: By = "tile") -> Cell:
    """A generator that has seen this share of the training tiles."""
    world = (
        preset.world if share == 1 else dataclasses.replace(preset.world, images=share, images_seed=seed, images_by=by)
    )
    steps = preset.few_generator_steps if share <= preset.few else preset.generator_steps
    return Cell(world, {**GENERATOR, **preset.generator, "steps": steps, "seed": seed})


def true(preset: Preset, seed: int, share: float, *, longer: float = 1, by: By = "tile", **options: Any) -> Cell:  # noqa: ANN401
    """Real tiles alone."""
    if by != "tile":  # a default is not named, so that cells made before there was a choice are found again
        options = {"labels_by": by, **options}
    steps = {"steps": round(longer * preset.steps), "eval_every": max(preset.steps // preset.evaluations, 1)}
    named = {name.replace("__", "."): value for name, value in options.items()}
    return Cell(preset.world, {**preset.segmenter, **steps, "labels": share, "seed": seed, **named}, "segmentation")


def mix(
    preset: Preset, seed: int, share: float, *, ratio: float = 1.0, samples: int = 1, parents: str = "all",
    by: By = "tile", residuals: int = RESIDUALS, adversarial: float = 0.0, **options: Any,  # noqa: ANN401
) -> Cell:  # fmt: skip
    """Real and synthetic tiles, the latter of all training tiles or of the labelled ones."""
    cell = true(preset, seed, share, by=by, ratio=ratio, parents=parents, **options)
    maker = generator(preset, seed, share, by=by)
    if adversarial:
        maker = maker.with_(loss__adversarial=adversarial)
    return dataclasses.replace(cell, synthetic=Synthetic(maker, samples, residuals))


def arms(preset: Preset, seed: int, part: str) -> dict[str, Cell]:
    """The cells of a part with one seed, by name; those that others wait for come first."""
    few, cells = preset.few, dict[str, Cell]()
    if part == "forest":
        cells |= {"learner all": true(preset, seed, 1.0, longer=LEARNER), "true few": true(preset, seed, few)}
        for name, share in (("all", 1.0), ("few", few)):
            options = {**preset.forest, "labels": share, "seed": seed}
            cells[f"forest {name}"] = Cell(preset.world, options, "forest")
    if part == "core":
        cells |= {"generator all": generator(preset, seed, 1.0), "generator few": generator(preset, seed, few)}
        for name, share in (("all", 1.0), ("few", few)):
            cells[f"true {name}"] = true(preset, seed, share)
            cells[f"true {name} half"] = true(preset, seed, share, longer=0.5)
        cells["mix all"] = mix(preset, seed, 1.0)
        cells["mix few"] = mix(preset, seed, few, parents="labelled")
        cells["mix sources"] = mix(preset, seed, few)
    if part == "scenes":
        cells["generator scenes"] = generator(preset, seed, preset.scarce, by="scene")
        cells["true scenes"] = true(preset, seed, preset.scarce, by="scene")
        cells["mix scenes"] = mix(preset, seed, preset.scarce, by="scene")
    if part == "images":
        cells["plain all"] = mix(preset, seed, 1.0, residuals=0)
        cells["plain sources"] = mix(preset, seed, few, residuals=0)
        cells["sharper all"] = mix(preset, seed, 1.0, residuals=0, adversarial=ADVERSARIAL)
    if part == "until":
        cells["until all"] = mix(preset, seed, 1.0, synthetic_until=UNTIL)
        cells["until sources"] = mix(preset, seed, few, synthetic_until=UNTIL)
    if part == "ratio":
        cells |= {f"ratio {ratio:g}": mix(preset, seed, few, ratio=ratio) for ratio in RATIOS}
    if part == "samples":
        cells[f"samples {SAMPLES}"] = mix(preset, seed, few, samples=SAMPLES)
    if part == "labels":
        for share in preset.shares:
            cells[f"true {share:.0%}"] = true(preset, seed, share)
            cells[f"mix {share:.0%}"] = mix(preset, seed, share)
    if part == "augmentation":
        for name, share in (("all", 1.0), ("few", few)):
            cells[f"true {name} still"] = true(preset, seed, share, loader__flips=False, loader__turns=False)
    return cells


@dataclass(frozen=True)
class Contrast:
    """Two arms that differ in one thing.

    Attributes:
        part: Of the experiment.
        title: What is compared.
        first: Name of an arm.
        second: Of the one that is taken off.
    """

    part: str
    title: str
    first: str
    second: str


def _contrasts() -> tuple[Contrast, ...]:
    found = []
    for regime, title in REGIMES.items():
        real = REAL[regime]
        found.append(Contrast("core", f"{title}: Mix − True", f"mix {regime}", real))
        found.append(Contrast("epochs", f"{title}: Mix − True of half the steps", f"mix {regime}", f"{real} half"))
    found.append(Contrast("forest", f"{REGIMES['all']}: RS-UNet − forest", "learner all", "forest all"))
    found.append(Contrast("forest", "{few} of the tiles: RS-UNet − forest", "true few", "forest few"))
    title = "clear images of {scarce} of the scenes, sources of all: Mix − True"
    found.append(Contrast("scenes", title, "mix scenes", "true scenes"))
    for arm, regime, title in (
        ("plain all", "all", "plain images"), ("plain sources", "sources", "plain images"),
        ("sharper all", "all", "images of an adversarial loss, without residuals"),
    ):  # fmt: skip
        found.append(Contrast("images", f"{REGIMES[regime]}: Mix with {title} − Mix", arm, f"mix {regime}"))
        found.append(Contrast("images", f"{REGIMES[regime]}: Mix with {title} − True", arm, REAL[regime]))
    for regime, real in (("all", "true all"), ("sources", "true few")):
        title = f"{REGIMES[regime]}: Mix, the last {1 - UNTIL:.0%} real"
        found.append(Contrast("until", f"{title} − Mix", f"until {regime}", f"mix {regime}"))
        found.append(Contrast("until", f"{title} − True", f"until {regime}", real))
    for ratio in RATIOS:
        found.append(Contrast("ratio", f"{ratio:g} synthetic per real − 1 per real", f"ratio {ratio:g}", "mix sources"))
        found.append(Contrast("ratio", f"{ratio:g} synthetic per real − True", f"ratio {ratio:g}", "true few"))
    found.append(Contrast("samples", f"{SAMPLES} images per tile − 1", f"samples {SAMPLES}", "mix sources"))
    found.append(Contrast("samples", f"{SAMPLES} images per tile − True", f"samples {SAMPLES}", "true few"))
    shares = sorted({share for preset in PRESETS.values() for share in preset.shares}, reverse=True)
    for share in shares:
        title = f"{share:.0%} of the clear images, sources of all tiles: Mix − True"
        found.append(Contrast("labels", title, f"mix {share:.0%}", f"true {share:.0%}"))
    for name, title in (("all", REGIMES["all"]), ("few", "{few} of the tiles")):
        title = f"{title}: True − True without flips and turns"
        found.append(Contrast("augmentation", title, f"true {name}", f"true {name} still"))
    return tuple(found)


CONTRASTS = _contrasts()
"""All of them; those of the core are what the experiment is about, all others say why."""
