"""What cells can train, each through the code that its script runs: generators, segmentation networks, forests, answers."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from experiments.cells.answers import AnswerConfig
from experiments.cells.cell import WEIGHTS, Cell, Config, Question
from experiments.cells.forest import ForestConfig
from rsspade.config import TrainingConfig
from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import Evaluation, evaluate, evaluate_baselines
from rsspade.models import RSSpade
from rsspade.models.edges import set_edges
from segmentation.config import SegmentationConfig

__all__ = ["Trained", "answerer", "is_trained", "train"]

Answer = Callable[[DatasetFolder, Question], dict[str, Any]]

IMAGE_SCORES = (
    "psnr", "ssim", "sam_rad", "mae", "rmse", "ergas", "reflectance", "per_band", "per_class", "clipped", "tiles",
)  # fmt: skip
_CHECKPOINTS = "checkpoints"
"""In a run folder as long as its training has not come to its end."""
TILE_SCORES = ("psnr", "ssim", "sam_rad")
MAP_SCORES = ("miou", "accuracy", "kappa", "mpa", "mf1", "fwiou", "per_class", "pixels", "tiles", "split_sha256")
"""What is kept of an evaluation."""


@dataclass(frozen=True)
class Trained:
    """What a training left behind, beside its weights."""

    parameters: int
    curve: Sequence[Mapping[str, float]] = ()


def is_trained(cell: Cell, run: Path) -> bool:
    """Whether the weights of the last step are there; a forest is grown anew whenever it is asked, an answer has none."""
    if cell.trains not in WEIGHTS:
        return True
    return (run / WEIGHTS[cell.trains]).is_dir() and not (run / _CHECKPOINTS).exists()


def train(cell: Cell, config: Config) -> Trained:
    """Train, or go on training; leaves the weights and what was logged."""
    run = Path(config.out)
    if isinstance(config, TrainingConfig):
        return _train_generator(config, run)
    if isinstance(config, SegmentationConfig):
        return _train_segmentation(config, run)
    if isinstance(config, AnswerConfig):
        return Trained(0)
    return Trained(sum(tree.tree_.node_count for tree in _grow(config).forest.estimators_))


def _train_generator(config: TrainingConfig, run: Path) -> Trained:
    from rsspade.training.loop import train

    # Validating on the way would choose among the weights.
    config = dataclasses.replace(config, eval_every=config.steps, save_every=min(config.save_every, config.steps))
    _finish(train(config), run)
    return Trained(_count(RSSpade.from_pretrained(run / WEIGHTS["generator"]).network))


def _train_segmentation(config: SegmentationConfig, run: Path) -> Trained:
    from segmentation.loop import train
    from segmentation.models import Segmenter

    # Before a save the norms are measured; where it validates, too, that is done once.
    config = dataclasses.replace(config, save_every=config.eval_every)
    _finish(train(config), run)
    model = Segmenter.from_pretrained(run / WEIGHTS["segmentation"])
    return Trained(_count(model.network), _curve(run / "metrics.jsonl"))


def _finish(code: int, run: Path) -> None:
    if code != 0:
        raise SystemExit(code)
    shutil.rmtree(run / _CHECKPOINTS, ignore_errors=True)  # the weights stay


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _curve(path: Path) -> list[dict[str, float]]:
    """The validations in a metrics.jsonl."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        {"step": line["step"], **{name: round(line["val"][name], 6) for name in ("epoch", "miou", "accuracy")}}
        for line in lines
        if "val" in line
    ]


def answerer(cell: Cell, data: Path, run: Path, accelerator: Accelerator) -> Answer:
    """Who answers questions about a trained cell."""
    if cell.trains == "generator":
        return _ask_generator(run / WEIGHTS["generator"], accelerator)
    if cell.trains == "segmentation":
        return _ask_segmentation(run / WEIGHTS["segmentation"], accelerator)
    config = cell.config(data, run)
    if isinstance(config, AnswerConfig):
        return _ask_answer(config, accelerator)
    assert isinstance(config, ForestConfig)
    return _ask_forest(config)


def _ask_generator(weights: Path, accelerator: Accelerator) -> Answer:
    model = RSSpade.from_pretrained(weights)

    def answer(dataset: DatasetFolder, question: Question) -> dict[str, Any]:
        set_edges(model.network, question.edges)
        found = evaluate(
            model, dataset, accelerator, split=question.split, sources=question.sources, with_baselines=False
        )
        return _kept(found, dataset, question)

    return answer


def _kept(found: Evaluation, dataset: DatasetFolder, question: Question) -> dict[str, Any]:
    kept = {name: found.summary[name] for name in IMAGE_SCORES if name in found.summary}
    kept["split_sha256"] = str(dataset.info.split.get("sha256", ""))
    if question.by_tile:
        kept["by_tile"] = {row["tile"]: {name: row[name] for name in TILE_SCORES} for row in found.per_tile}
    return kept


def _ask_answer(config: AnswerConfig, accelerator: Accelerator) -> Answer:
    def answer(dataset: DatasetFolder, question: Question) -> dict[str, Any]:
        teacher = DatasetFolder.open(config.data)
        found = evaluate_baselines(dataset, accelerator, split=question.split, learned_from=teacher)
        return _kept(found[config.answer], dataset, question)

    return answer


def _ask_segmentation(weights: Path, accelerator: Accelerator) -> Answer:
    from segmentation.evaluate import evaluate
    from segmentation.models import Segmenter

    model = Segmenter.from_pretrained(weights)

    def answer(dataset: DatasetFolder, question: Question) -> dict[str, Any]:
        found = evaluate(model, dataset, accelerator, split=question.split)
        return {name: found[name] for name in MAP_SCORES}

    return answer


def _ask_forest(config: ForestConfig) -> Answer:
    from segmentation.labels import open_tiles

    grown = _grow(config)

    def answer(dataset: DatasetFolder, question: Question) -> dict[str, Any]:
        tiles = open_tiles(dataset, question.split, grown.sources, random_crops=False)
        found = grown.score(tiles) | {"tiles": len(tiles), "split_sha256": str(dataset.info.split.get("sha256", ""))}
        return {name: found[name] for name in MAP_SCORES}

    return answer


def _grow(config: ForestConfig) -> Any:  # noqa: ANN401 (a PixelForest, whose scikit-learn loads only when it is needed)
    from segmentation.baselines import fit_forest
    from segmentation.labels import labelled_tiles, nested_subset, open_tiles

    tiles = open_tiles(DatasetFolder.open(config.data), "train", ("s2",), random_crops=False)
    usable = labelled_tiles(tiles)
    chosen = usable[nested_subset([tiles.rows[n].tile for n in usable], config.labels, config.seed)]
    return fit_forest(tiles, chosen, pixels=config.pixels, trees=config.trees, seed=config.seed)
