"""An augmented dataset: synthetic optical images beside the real sources they were made from."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rsspade.data.assemble import made_by
from rsspade.data.manifest import SPLITS, DatasetFolder, DatasetInfo, TileRow, describe_source, split_sha256
from rsspade.jobs import disk_errors, open_job, progress_bar, unit_file
from rsspade.metrics import ImageScores, SampleScores
from rsspade.synthesis.generate_plan import Plan, warn_of_oddities
from rsspade.synthesis.generate_processes import together
from rsspade.synthesis.generate_tiles import QUALITY, make_batch

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
    partial = out.with_name(out.name + ".partial")
    is_main = accelerator.is_main_process
    with contextlib.ExitStack() as stack:
        together(accelerator, lambda: _begin(stack, plan, out) if is_main else None)
        together(accelerator, lambda: _make_all(plan, partial, accelerator))
        if not is_main:
            return None
        with disk_errors(partial):
            units = {n: json.loads(unit_file(partial, plan.row(n).tile).read_text("utf-8")) for n in plan.numbers}
            quality, diversity = _mean_quality(plan, units.values()), _diversity(units.values())
            rows = [TileRow(**row) for unit in units.values() for row in unit["rows"]]
            info = _describe(plan, rows, units, quality, diversity)
            for folder in {plan.dataset.source(name).folder for name in plan.held} - info.sources.keys():
                (partial / folder).rmdir()  # no tile of this split holds it
            DatasetFolder.write(partial, info, rows)
    return Generated(dataset=DatasetFolder.open(out), quality=quality, diversity=diversity)


def _begin(stack: contextlib.ExitStack, plan: Plan, out: Path) -> None:
    partial = stack.enter_context(open_job(out, plan.arguments()))
    warn_of_oddities(plan)
    for name in ("s2", *plan.held):
        (partial / plan.dataset.source(name).folder).mkdir(exist_ok=True)


def _make_all(plan: Plan, partial: Path, accelerator: Accelerator) -> None:
    plan.model.to(accelerator.device)
    batches = plan.batches()[accelerator.process_index :: accelerator.num_processes]
    total = sum(map(len, batches)) * plan.options.samples
    # Reduced precision would make another GPU, or none, differ by more than a digital number.
    precise = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with disk_errors(partial), precise, contextlib.ExitStack() as stack:
        bar = None
        if accelerator.is_local_main_process:
            bar = stack.enter_context(progress_bar(total=total, title="generate", unit="image"))
        for batch in batches:
            make_batch(plan, partial, batch, accelerator.device)
            if bar is not None:
                bar.update(len(batch) * plan.options.samples)


def _mean_quality(plan: Plan, units: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of single images and of the mean of draws, over all tiles that have a real image."""
    states: dict[str, list[list[float]]] = {"single": [], "mean": []}
    for unit in units:
        for name, state in unit.get("states", {}).items():
            if name == "mean":
                states["mean"].append(state)
            else:  # every image counts by itself
                states["single"].append([state[0] * plan.options.samples + int(name), *state[1:]])
    found = {}
    for name, rows in states.items():
        if rows:
            scores = ImageScores(plan.optical.band_names)
            scores.merge(torch.tensor(rows, dtype=torch.float64))
            result = scores.compute()
            found[name] = {key: result[key] for key in (*QUALITY, "sam_deg", "rmse")}
    return found


def _diversity(units: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How much draws differ, and whether they differ where they err."""
    units = list(units)
    distances = [unit["distance"] for unit in units if "distance" in unit]
    if not distances:
        return {}
    found: dict[str, Any] = {"pairwise_distance": sum(distances) / len(distances), "tiles": len(distances)}
    states = [unit["spread"] for unit in units if "spread" in unit]
    if states:
        scores = SampleScores()
        scores.merge(torch.tensor(states, dtype=torch.float64))
        result = scores.compute()
        found |= {key: result[key] for key in ("spread_rmse_ratio", "rank_correlation")} | {
            "scored_tiles": result["tiles"]
        }
    return found


def _describe(
    plan: Plan,
    rows: list[TileRow],
    units: Mapping[int, Mapping[str, Any]],
    quality: dict[str, Any],
    diversity: dict[str, Any],
) -> DatasetInfo:
    parent, options = plan.dataset.info, plan.options
    counts = Counter(row.split for row in rows)
    held = [
        plan.dataset.source(name) for name in plan.held if any(plan.dataset.has(name, plan.row(n).tile) for n in units)
    ]
    sources = {s.folder: describe_source(s) for s in (plan.optical, *held)}
    arguments = {
        "split": options.split, "sources": list(plan.sources), "samples": options.samples, "seed": options.seed,
    }  # fmt: skip
    per_image = {
        stem: unit["quality"][f"{k}"]
        for n, unit in units.items()
        for k, stem in enumerate(plan.stems(n))
        if "quality" in unit
    }
    provenance = {
        **made_by("generate", arguments), "generator": plan.origin.to_json(),
        "parent": {"name": parent.name, "split_sha256": str(parent.split.get("sha256", ""))},
        "tiles_without_sources": plan.skipped, "quality": {**quality, "images": per_image}, "diversity": diversity,
    }  # fmt: skip
    return DatasetInfo(
        name=f"{parent.name}, synthetic", tile_size=parent.tile_size, pixel_size=parent.pixel_size, sources=sources,
        landcover_scheme=parent.landcover_scheme, statistics=_inherited(plan, sources),
        split={
            "mode": "inherited", "rule": "that of the dataset it was made from", "ratio": parent.split.get("ratio"),
            "seed": parent.split.get("seed"), "tiles": {s: counts[s] for s in SPLITS}, "in_gaps": 0,
            "sha256": split_sha256(rows),
        },
        made_by=provenance,
    )  # fmt: skip


def _inherited(plan: Plan, sources: Mapping[str, Any]) -> dict[str, Any]:
    """The parent's statistics: who trains on both datasets scales both alike."""
    found = {}
    for folder, entry in plan.dataset.info.statistics.items():
        if folder in sources:
            wanted = plan.optical.band_names if folder == "S2" else tuple(entry)
            found[folder] = {key: entry[key] for key in wanted if key in entry}
    return found
