"""A trained generator against the truth of a split, beside the answers that need no network."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from rsspade.baselines import ClassMeans, Prediction, class_means, copy_of_input, oracle_answer
from rsspade.data.collate import collate_samples
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.landcover import Scheme
from rsspade.metrics import ClassScores, ImageScores
from rsspade.metrics.rows import gathered_state
from rsspade.models import RSSpade
from rsspade.progress import progress_bar
from rsspade.sampling_scores import score_samples
from rsspade.sources import CONDITIONS

__all__ = ["BASELINES", "Evaluation", "evaluate", "evaluate_baselines", "find_generator"]

BASELINES = {
    "class_mean": "class-mean image",
    "copy_of_input": "copy of the clouded input",
    "oracle": "upper bound (built-in world)",
}
"""Key in the JSON file -> name in the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The scores of a split.

    Attributes:
        summary: The content of the JSON file: the model's scores at the top, the baselines' below `baselines`.
        per_tile: A row per tile, the content of the CSV file.
    """

    summary: dict[str, Any]
    per_tile: list[dict[str, Any]]


def evaluate(
    model: RSSpade,
    dataset: DatasetFolder,
    accelerator: Accelerator,
    *,
    split: str = "test",
    sources: Sequence[str] | None = None,
    batch_size: int = 8,
    with_baselines: bool = True,
    samples: int = 1,
) -> Evaluation:
    """Score the deterministic output of a model on whole tiles; each process takes its share, all get the scores.

    Args:
        model: The generator.
        dataset: Whose split is scored.
        accelerator: Device and processes.
        split: `train`, `val` or `test`.
        sources: What the model may see; all that it knows by default. Tiles that hold none of it are left out.
        batch_size: Tiles at a time in each process; changes no score.
        with_baselines: Score the answers that need no network too; on the same tiles they are the same for every subset of
            the sources.
        samples: From two on, that many draws are scored too.
    """
    chosen = _chosen_sources(model, dataset, sources)
    positions = _band_positions(model, dataset)
    with_sun = model.info.architecture.sun
    tiles, means = _open(dataset, split, chosen, with_baselines=with_baselines, with_sun=with_sun)
    if tiles.without_sources and accelerator.is_main_process:
        _warn_of_left_out(tiles, chosen)
    bands = model.info.architecture.optical_bands
    scores = {"model": _Scores(bands, _scheme(dataset))}
    scores |= _baseline_scores(dataset, bands, means) if with_baselines else {}
    model = model.to(accelerator.device)

    def answers(sample: Sample) -> dict[str, Prediction]:
        own = {"model": _answer(model, sample, chosen)}
        return own | _baseline_answers(sample, tiles, dataset, positions, means) if with_baselines else own

    scores = _score(tiles, answers, positions, scores, accelerator, batch_size)
    found = {name: own.compute() for name, own in scores.items()}
    summary = {
        **found["model"],
        "split": split,
        "split_sha256": str(dataset.info.split.get("sha256", "")),
        "sources": list(chosen),
        "tiles_without_sources": tiles.without_sources,
        "model": model.info.architecture.model,
        "dataset": dataset.info.name,
        "trained_split_sha256": model.info.split_sha256,
        "baselines": {name: found[name] for name in BASELINES if name in found},
    }
    if samples > 1:
        summary["variety"] = score_samples(
            model, tiles, accelerator, samples=samples, sources=chosen, bands=positions, batch_size=batch_size
        )
    return Evaluation(summary=summary, per_tile=_per_tile(scores["model"], tiles))


def evaluate_baselines(
    dataset: DatasetFolder,
    accelerator: Accelerator,
    *,
    split: str = "test",
    learned_from: DatasetFolder | None = None,
    batch_size: int = 8,
) -> dict[str, Evaluation]:
    """The scores of the answers that need no network, by the keys of `BASELINES`, in all optical bands.

    Args:
        dataset: Whose split is scored.
        accelerator: Device and processes.
        split: `train`, `val` or `test`.
        learned_from: Whose train split has the class means; that of the same dataset by default.
        batch_size: Tiles at a time in each process; changes no score.
    """
    tiles, means = _open(dataset, split, (), with_baselines=True, learned_from=learned_from)
    positions = list(range(len(dataset.optical_bands)))
    scores = _score(
        tiles, lambda sample: _baseline_answers(sample, tiles, dataset, positions, means), positions,
        _baseline_scores(dataset, dataset.optical_bands, means), accelerator, batch_size,
    )  # fmt: skip
    return {name: Evaluation(summary=own.compute(), per_tile=_per_tile(own, tiles)) for name, own in scores.items()}


def _per_tile(scores: "_Scores", tiles: TileDataset) -> list[dict[str, Any]]:
    """A row per tile, by its name."""
    return [{**row, "tile": tiles.rows[row["tile"]].tile} for row in scores.images.per_tile()]


def _chosen_sources(model: RSSpade, dataset: DatasetFolder, sources: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(sources) if sources is not None else model.info.sources
    unknown = [name for name in chosen if name not in model.info.sources]
    if unknown:
        raise InputError(
            explain("--sources", expected=f"a subset of {', '.join(model.info.sources)}, which the model was trained with",
                    found=", ".join(unknown), fix="Leave out what it does not know.")
        )  # fmt: skip
    if "lulc" in chosen:
        model.check_scheme(dataset.info.landcover_scheme, dataset.path)
    return chosen


def _open(
    dataset: DatasetFolder,
    split: str,
    chosen: tuple[str, ...],
    *,
    with_baselines: bool,
    with_sun: bool = False,
    learned_from: DatasetFolder | None = None,
) -> tuple[TileDataset, ClassMeans | None]:
    """The tiles, with what the baselines need where the dataset has it, and the class means."""
    has_classes = _has_classes(dataset)
    wanted = [name for name in CONDITIONS if name in chosen or (name == "lulc" and has_classes)]
    cloudy = with_baselines and "S2_CLOUDY" in dataset.info.sources
    synthetic = sum(row.synthetic for row in dataset.in_split(split))
    if synthetic:
        raise InputError(
            explain(dataset.path, expected="real images, to be scored against", found=f"{synthetic} synthetic ones in the {split} split",
                    fix="Name the dataset that they were made from.")
        )  # fmt: skip
    tiles = TileDataset(
        dataset, split=split, sources=wanted, random_crops=False, one_of=chosen, with_cloudy=cloudy, with_sun=with_sun
    )
    teacher = dataset if learned_from is None else learned_from
    can_learn = with_baselines and has_classes and any(row.split == "train" for row in teacher.rows)
    return tiles, _class_means(teacher) if can_learn else None


def _class_means(teacher: DatasetFolder) -> ClassMeans | None:
    """None, with a word, where the train split does not hold what they are learned from: a baseline is not in the way of scores."""
    try:
        return class_means(teacher)
    except InputError as err:
        warnings.warn(f"no class-mean image to compare with: {err}", RSSpadeWarning, stacklevel=4)
        return None


def _has_classes(dataset: DatasetFolder) -> bool:
    return "LULC" in dataset.info.sources and any(dataset.has("lulc", row.tile) for row in dataset.rows)


def _warn_of_left_out(tiles: TileDataset, chosen: tuple[str, ...]) -> None:
    warnings.warn(
        f"{tiles.without_sources} of {tiles.without_sources + len(tiles)} tiles hold none of {', '.join(chosen)} and are left out.",
        RSSpadeWarning, stacklevel=3,
    )  # fmt: skip


def _band_positions(model: RSSpade, dataset: DatasetFolder) -> list[int]:
    wanted, held = model.info.architecture.optical_bands, dataset.optical_bands
    missing = [band for band in wanted if band not in held]
    if missing:
        raise InputError(
            explain(dataset.path, expected=f"the optical bands {', '.join(wanted)}, which the model makes",
                    found=", ".join(held) or "none", fix="Prepare the data with --s2-bands, or train on these bands.")
        )  # fmt: skip
    return [held.index(band) for band in wanted]


class _Scores:
    """The scores of one answer: of the images, and of each class where the dataset has land cover."""

    def __init__(self, bands: Sequence[str], scheme: Scheme | None) -> None:
        self.images = ImageScores(bands)
        self.classes = None if scheme is None else ClassScores(bands, scheme)

    def gathered(self, accelerator: Accelerator) -> "_Scores":
        """Those of all processes together."""
        total = _Scores(self.images.bands, None if self.classes is None else self.classes.scheme)
        total.images.merge(gathered_state(self.images, accelerator))
        if self.classes is not None and total.classes is not None:
            total.classes.merge(gathered_state(self.classes, accelerator))
        return total

    def compute(self) -> dict[str, Any]:
        """As written to the JSON file."""
        classes = {} if self.classes is None else {"per_class": self.classes.compute()}
        return self.images.compute() | classes


def _scheme(dataset: DatasetFolder) -> Scheme | None:
    return dataset.scheme if _has_classes(dataset) else None


def _baseline_scores(dataset: DatasetFolder, bands: Sequence[str], means: ClassMeans | None) -> dict[str, _Scores]:
    held = dataset.info.sources
    there = {"class_mean": means is not None, "copy_of_input": "S2_CLOUDY" in held, "oracle": "ORACLE" in held}
    return {name: _Scores(bands, _scheme(dataset)) for name, is_there in there.items() if is_there}


def _answer(model: RSSpade, sample: Sample, chosen: tuple[str, ...]) -> Prediction:
    device = next(model.parameters()).device
    given = {name: sample.sources[name].to(device) for name in chosen}
    valid = {name: sample.valid[name].to(device) for name in chosen}
    return Prediction(model(given, valid=valid, day_of_year=sample.day_of_year, sun=sample.sun), sample.optical_valid)


def _baseline_answers(
    sample: Sample, tiles: TileDataset, dataset: DatasetFolder, positions: list[int], means: ClassMeans | None
) -> dict[str, Prediction]:
    """Those that the dataset has what they need for, in the bands that are scored."""
    answers: dict[str, Prediction] = {}
    if means is not None:
        answers["class_mean"] = means.predict(sample)
    if sample.cloudy:
        answers["copy_of_input"] = copy_of_input(sample)
    if "ORACLE" in dataset.info.sources:
        answers["oracle"] = oracle_answer(dataset, [tiles.rows[n].tile for n in sample.tile.tolist()], sample)
    return {name: Prediction(image[:, positions], valid) for name, (image, valid) in answers.items()}


def _score(
    tiles: TileDataset,
    answers: Callable[[Sample], dict[str, Prediction]],
    positions: list[int],
    scores: dict[str, _Scores],
    accelerator: Accelerator,
    batch_size: int,
) -> dict[str, _Scores]:
    """Score the answers to all tiles; each process takes its share, all get the scores."""
    mine = list(range(accelerator.process_index, len(tiles), accelerator.num_processes))
    with progress_bar(total=len(mine), title="evaluate") as bar:
        for sample in DataLoader(tiles, batch_size, sampler=mine, collate_fn=collate_samples):
            _score_batch(sample, answers(sample), positions, scores, accelerator.device)
            bar.update(len(sample.tile))
    return {name: own.gathered(accelerator) for name, own in scores.items()}


def _score_batch(
    sample: Sample,
    answers: dict[str, Prediction],
    positions: list[int],
    scores: dict[str, _Scores],
    device: torch.device,
) -> None:
    truth, tile = sample.optical[:, positions].to(device), sample.tile.to(device)
    for name, answer in answers.items():
        image, where = answer.image.to(device), answer.valid.to(device)
        scores[name].images.add(image, truth, valid=where, tile=tile)
        if (classes := scores[name].classes) is not None:
            classes.add(image, truth, valid=where, landcover=sample.sources["lulc"].to(device), tile=tile)


def find_generator(run: Path) -> Path:
    """The generator of a run folder, or the folder itself where it is one."""
    if (run / "config.json").is_file():
        return run
    if not (run / "generator" / "config.json").is_file():
        found = "a run of segmentation.train" if (run / "model" / "config.json").is_file() else "neither"
        raise InputError(
            explain(f"--run {run}", expected="a run folder with generator/ in it, or a generator folder", found=found,
                    fix="Name the --out of a training run that has been validated at least once.")
        )  # fmt: skip
    return run / "generator"
