"""A trained generator against the truth of a split, beside the answers that need no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from rsspade.baselines import ClassMeans, class_means, copy_of_input
from rsspade.data.collate import collate_samples
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError, explain
from rsspade.jobs import progress_bar
from rsspade.metrics import ImageScores
from rsspade.metrics.rows import PADDING
from rsspade.models import RSSpade
from rsspade.sources import CONDITIONS

__all__ = ["BASELINES", "Evaluation", "evaluate", "find_generator"]

BASELINES = {"class_mean": "class-mean image", "copy_of_input": "copy of the clouded input"}


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
) -> Evaluation:
    """Score the deterministic output of a model on whole tiles; each process takes its share, all get the scores.

    Args:
        model: The generator.
        dataset: Whose split is scored.
        accelerator: Device and processes.
        split: `train`, `val` or `test`.
        sources: What the model may see; all that it knows by default.
        batch_size: Tiles at a time in each process; changes no score.
    """
    chosen = _chosen_sources(model, dataset, sources)
    tiles, means = _open(dataset, split, chosen)
    bands = _band_positions(model, dataset)
    names = ["model", *(["class_mean"] if means else []), *(["copy_of_input"] if tiles.with_cloudy else [])]
    scores = {name: ImageScores(model.info.architecture.optical_bands) for name in names}
    mine = list(range(accelerator.process_index, len(tiles), accelerator.num_processes))
    model = model.to(accelerator.device)
    with progress_bar(total=len(mine), title="evaluate") as bar:
        for sample in DataLoader(tiles, batch_size, sampler=mine, collate_fn=collate_samples):
            _score_batch(sample, model, chosen, bands, means, scores)
            bar.update(len(sample.tile))
    total = {name: _gather(own, accelerator) for name, own in scores.items()}
    summary = {
        **total["model"].compute(),
        "split": split,
        "split_sha256": str(dataset.info.split.get("sha256", "")),
        "sources": list(chosen),
        "model": model.info.architecture.model,
        "dataset": dataset.info.name,
        "trained_split_sha256": model.info.split_sha256,
        "baselines": {name: total[name].compute() for name in names[1:]},
    }
    rows = [{**row, "tile": tiles.rows[row["tile"]].tile} for row in total["model"].per_tile()]
    return Evaluation(summary=summary, per_tile=rows)


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


def _open(dataset: DatasetFolder, split: str, chosen: tuple[str, ...]) -> tuple[TileDataset, ClassMeans | None]:
    """The tiles, with what the baselines need where the dataset has it, and the class means."""
    has_classes = "LULC" in dataset.info.sources
    wanted = [name for name in CONDITIONS if name in chosen or (name == "lulc" and has_classes)]
    cloudy = "S2_CLOUDY" in dataset.info.sources
    tiles = TileDataset(dataset, split=split, sources=wanted, random_crops=False, with_cloudy=cloudy)
    can_learn = has_classes and any(row.split == "train" for row in dataset.rows)
    return tiles, class_means(dataset) if can_learn else None


def _band_positions(model: RSSpade, dataset: DatasetFolder) -> list[int]:
    wanted, held = model.info.architecture.optical_bands, dataset.optical_bands
    missing = [band for band in wanted if band not in held]
    if missing:
        raise InputError(
            explain(dataset.path, expected=f"the optical bands {', '.join(wanted)}, which the model makes",
                    found=", ".join(held) or "none", fix="Prepare the data with --s2-bands, or train on these bands.")
        )  # fmt: skip
    return [held.index(band) for band in wanted]


def _score_batch(
    sample: Sample,
    model: RSSpade,
    chosen: tuple[str, ...],
    bands: list[int],
    means: ClassMeans | None,
    scores: dict[str, ImageScores],
) -> None:
    device = next(model.parameters()).device
    given = {name: sample.sources[name].to(device) for name in chosen}
    valid = {name: sample.valid[name].to(device) for name in chosen}
    image = model(given, valid=valid, day_of_year=sample.day_of_year)
    answers: dict[str, tuple[Tensor, Tensor]] = {"model": (image, sample.optical_valid)}
    if means is not None:
        answers["class_mean"] = (means.predict(sample).image[:, bands], sample.optical_valid)
    if "copy_of_input" in scores:
        copied = copy_of_input(sample)
        answers["copy_of_input"] = (copied.image[:, bands], copied.valid)
    truth = sample.optical[:, bands].to(device)
    for name, (answer, where) in answers.items():
        scores[name].add(answer.to(device), truth, valid=where.to(device), tile=sample.tile.to(device))


def _gather(scores: ImageScores, accelerator: Accelerator) -> ImageScores:
    state = accelerator.pad_across_processes(scores.state(accelerator.device), dim=0, pad_index=PADDING)
    total = ImageScores(scores.bands)
    total.merge(accelerator.gather(state).cpu())
    return total


def find_generator(run: Path) -> Path:
    """The generator of a run folder, or the folder itself where it is one."""
    if (run / "config.json").is_file():
        return run
    if not (run / "generator" / "config.json").is_file():
        raise InputError(
            explain(f"--run {run}", expected="a run folder with generator/ in it, or a generator folder", found="neither",
                    fix="Name the --out of a training run that has been validated at least once.")
        )  # fmt: skip
    return run / "generator"
