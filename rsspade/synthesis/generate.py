"""An augmented dataset: synthetic optical images beside the real sources they were made from."""

import contextlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rsspade.data.assemble import made_by
from rsspade.data.manifest import SPLITS, DatasetFolder, DatasetInfo, TileRow, describe_source, split_sha256
from rsspade.errors import ConfigError, explain
from rsspade.jobs import disk_errors, open_job, unit_file
from rsspade.metrics import ImageScores, SampleScores
from rsspade.progress import progress_bar
from rsspade.synthesis.generate_plan import Plan, warn_of_oddities
from rsspade.synthesis.generate_processes import together
from rsspade.synthesis.generate_tiles import QUALITY, collect_residuals, make_batch

__all__ = ["Generated", "generate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What was made.

    Attributes:
        dataset: The augmented dataset.
        quality: Mean scores against the real images, of single images and of the mean of several draws; empty where
            there is no real image.
        diversity: How much draws differ; empty for one image per tile.
    """

    dataset: DatasetFolder
    quality: dict[str, Any]
    diversity: dict[str, Any]


def generate(plan: Plan, out: Path, accelerator: Accelerator) -> Generated | None:
    """Make the dataset, or go on with it where an earlier call stopped; only the main process gets the result.

    Args:
        plan: What to do.
        out: The folder to make.
        accelerator: Device and processes; each takes its share of the batches.
    """
    is_main = accelerator.is_main_process
    with contextlib.ExitStack() as stack:
        together(accelerator, lambda: _begin(stack, plan, out) if is_main else None)
        partial = out.with_name(out.name + ".partial")  # only now: what has no name is refused there
        together(accelerator, lambda: _make_all(plan, partial, accelerator))
        if not is_main:
            return None
        with disk_errors(partial):
            totals = _Totals(plan)
            for number in plan.numbers:
                unit = unit_file(partial, plan.row(number).tile)
                totals.add(number, json.loads(unit.read_text(encoding="utf-8")))
            info = _describe(plan, totals)
            for folder in {plan.dataset.source(name).folder for name in plan.held} - info.sources.keys():
                (partial / folder).rmdir()  # no tile of this split holds it
            DatasetFolder.write(partial, info, totals.rows)
    quality = {name: scores for name, scores in info.made_by["quality"].items() if name != "images"}
    return Generated(dataset=DatasetFolder.open(out), quality=quality, diversity=info.made_by["diversity"])


def _begin(stack: contextlib.ExitStack, plan: Plan, out: Path) -> None:
    partial = stack.enter_context(open_job(out, plan.arguments()))
    warn_of_oddities(plan)
    for name in ("s2", *plan.held):
        (partial / plan.dataset.source(name).folder).mkdir(exist_ok=True)


def _make_all(plan: Plan, partial: Path, accelerator: Accelerator) -> None:
    plan.model.to(accelerator.device)
    batches = plan.batches()[accelerator.process_index :: accelerator.num_processes]
    total = sum(map(len, batches)) * plan.options.samples + len(plan.lenders)
    # Reduced precision would make another GPU, or none, differ by more than a digital number.
    precise = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with disk_errors(partial), precise, contextlib.ExitStack() as stack:
        bar = None
        if accelerator.is_local_main_process:
            bar = stack.enter_context(progress_bar(total=total, title="generate", unit="image"))
        if all(unit_file(partial, plan.row(n).tile).is_file() for batch in batches for n in batch):
            return
        try:
            residuals = collect_residuals(plan, accelerator.device, bar.update if bar is not None else lambda: None)
        except torch.OutOfMemoryError as err:
            raise ConfigError(
                explain("--residuals", expected="tiles whose residuals fit into the device's memory together", found=str(len(plan.lenders)),
                        fix="Ask for fewer, in another --out.")
            ) from err  # fmt: skip
        for batch in batches:
            try:
                make_batch(plan, partial, batch, accelerator.device, residuals)
            except torch.OutOfMemoryError as err:
                raise ConfigError(
                    explain("--batch-size", expected="tiles that fit into the device's memory together", found=str(len(batch)),
                            fix="Pass a smaller one; the job goes on with it.")
                ) from err  # fmt: skip
            if bar is not None:
                bar.update(len(batch) * plan.options.samples)


class _Totals:
    """Sums up the units one by one: what a large job keeps of each is a few numbers."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._images = {name: ImageScores(plan.optical.band_names) for name in ("single", "mean")}
        self._draws = SampleScores(balanced=plan.donors is None)
        self._filled: set[str] = set()
        self._distances: list[float] = []
        self.rows: list[TileRow] = []
        self.per_image: dict[str, dict[str, float | None]] = {}

    def add(self, number: int, unit: Mapping[str, Any]) -> None:
        """Take in what a tile left behind."""
        self.rows += [TileRow(**row) for row in unit["rows"]]
        samples = self._plan.options.samples
        for name, state in unit.get("states", {}).items():
            kind = "mean" if name == "mean" else "single"
            # Every image counts by itself.
            tile = state[0] if name == "mean" else state[0] * samples + int(name)
            self._images[kind].merge(torch.tensor([[tile, *state[1:]]], dtype=torch.float64))
            self._filled.add(kind)
        for n, stem in enumerate(self._plan.stems(number)):
            if "quality" in unit:
                self.per_image[stem] = unit["quality"][f"{n}"]
        if "distance" in unit:
            self._distances.append(unit["distance"])
        if "spread" in unit:
            self._draws.merge(torch.tensor([unit["spread"]], dtype=torch.float64))
            self._filled.add("spread")

    def quality(self) -> dict[str, Any]:
        """Scores of single images and of the mean of draws, over all tiles that have a real image."""
        found = {name: scores.compute() for name, scores in self._images.items() if name in self._filled}
        return {name: {key: scores[key] for key in (*QUALITY, "sam_deg", "rmse")} for name, scores in found.items()}

    def diversity(self) -> dict[str, Any]:
        """How much draws differ, and whether they differ where they err."""
        distances = self._distances
        if not distances:
            return {}
        found = {"pairwise_distance": math.fsum(distances) / len(distances), "tiles": len(distances)}
        if "spread" not in self._filled:
            return found
        scores = self._draws.compute()
        told = {key: scores[key] for key in ("spread_rmse_ratio", "rank_correlation")}
        return {**found, **told, "scored_tiles": scores["tiles"]}


def _describe(plan: Plan, totals: _Totals) -> DatasetInfo:
    parent, options = plan.dataset.info, plan.options
    counts = Counter(row.split for row in totals.rows)
    held = [
        plan.dataset.source(name)
        for name in plan.held
        if any(plan.dataset.has(name, plan.row(n).tile) for n in plan.numbers)
    ]
    sources = {s.folder: describe_source(s) for s in (plan.optical, *held)}
    arguments = {
        "split": options.split, "sources": list(plan.sources), "samples": options.samples, "seed": options.seed,
        **plan.lent,
    }  # fmt: skip
    provenance = {
        **made_by("generate", arguments), "generator": plan.origin.to_json(),
        "parent": {"name": parent.name, "split_sha256": str(parent.split.get("sha256", ""))},
        "tiles_without_sources": plan.skipped, "quality": {**totals.quality(), "images": totals.per_image},
        "diversity": totals.diversity(),
    }  # fmt: skip
    return DatasetInfo(
        name=f"{parent.name}, synthetic", tile_size=parent.tile_size, pixel_size=parent.pixel_size, sources=sources,
        landcover_scheme=parent.landcover_scheme, statistics=_inherited(plan, sources),
        split={
            "mode": "inherited", "rule": "that of the dataset it was made from", "ratio": parent.split.get("ratio"),
            "seed": parent.split.get("seed"), "tiles": {s: counts[s] for s in SPLITS}, "in_gaps": 0,
            "sha256": split_sha256(totals.rows),
        },
        made_by=provenance, sun=parent.sun,
    )  # fmt: skip


def _inherited(plan: Plan, sources: Mapping[str, Any]) -> dict[str, Any]:
    """The parent's statistics: who trains on both datasets scales both alike."""
    found = {}
    for folder, entry in plan.dataset.info.statistics.items():
        if folder in sources:
            wanted = plan.optical.band_names if folder == "S2" else tuple(entry)
            found[folder] = {key: entry[key] for key in wanted if key in entry}
    return found
