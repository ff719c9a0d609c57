"""A batch of tiles: painted, scored where there is a real image, written with its real sources beside it.

Shape letters: S samples, B tiles, C bands, H W pixels.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsspade.data.collate import collate_samples
from rsspade.data.geotiff import write_bytes_atomically, write_tile
from rsspade.data.manifest import TileRow
from rsspade.data.readers.base import Georeference, read_georeference
from rsspade.data.torch_dataset import Sample
from rsspade.errors import InputError, explain
from rsspade.jobs import unit_file
from rsspade.metrics import DISPLAY, ImageScores, SampleScores, pairwise_distance
from rsspade.models.seen import Seen
from rsspade.sources import Source
from rsspade.synthesis.generate_plan import Plan
from rsspade.synthesis.residuals import Residuals

__all__ = ["QUALITY", "collect_residuals", "make_batch", "quantise"]

QUALITY = {"psnr": 3, "ssim": 5, "sam_rad": 5}
"""The scores that an image carries along, with their decimals."""

_STEPS = 10_000  # digital numbers per reflectance, as Sentinel-2's products have
_WRITERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class _Images:
    """A batch as it was painted.

    Attributes:
        images: (S, B, C, H, W) reflectance, NaN where `made` is not.
        made: (B, H, W) where one of the sources at least has data.
        scored: (B, H, W) where there is a real image, too.
        truth: (B, C, H, W) the real image; None where no tile of the batch has one.
    """

    images: Tensor
    made: Tensor
    scored: Tensor
    truth: Tensor | None


def collect_residuals(plan: Plan, device: torch.device, one_done: Callable[[], object]) -> Residuals | None:
    """Those of the plan's donors; None where none are asked for."""
    if plan.donors is None:
        return None
    bands = [plan.donors.optical_bands.index(band) for band in plan.optical.band_names]

    def paint(sample: Sample) -> tuple[Tensor, Tensor]:
        given, valid, made = _given(plan, sample, device)
        image = plan.model(given, valid=valid, day_of_year=sample.day_of_year, sun=sample.sun)
        one_done()
        return image, made

    asked, plan.model.seen = plan.model.seen, Seen(plan.model.info.training)
    try:  # whether donors lie within what training held says nothing of the tiles that are asked for
        return Residuals.collect(plan.donors, plan.lenders, paint, bands, device)
    finally:
        plan.model.seen = asked


def make_batch(
    plan: Plan, partial: Path, numbers: Sequence[int], device: torch.device, residuals: Residuals | None = None
) -> None:
    """Make the tiles of a batch that are not done yet.

    All of the batch is painted whatever is done: the last bits of an image may depend on its batch, and a job that
    was interrupted shall end in the same bytes.
    """
    todo = [place for place, n in enumerate(numbers) if not unit_file(partial, plan.row(n).tile).is_file()]
    if not todo:
        return
    sample = collate_samples([plan.tiles[n] for n in numbers])
    painted = _paint(plan, sample, device, residuals)
    records = _score(plan, sample, painted, numbers)
    pixels, made = painted.images.cpu().numpy(), painted.made.cpu()
    with ThreadPoolExecutor(_WRITERS) as pool:  # to compress takes longer than to paint on a GPU
        writes = []
        for place in todo:
            record, number = records[place], numbers[place]
            row = plan.row(number)
            grid = _grid(plan, row.tile)
            record["valid_fraction"] = _valid_fraction(plan, sample, place, made[place])
            record["seen"] = [s for s in plan.sources if bool(sample.present[place, plan.held.index(s)])]
            for n, stem in enumerate(plan.stems(number)):
                _carry_sources(plan, partial, row.tile, stem)
                tags = _tags(plan, number, record, n)
                path = partial / "S2" / f"{stem}.tif"
                writes.append(
                    pool.submit(write_tile, path, pixels[n, place], plan.optical, crs=grid.crs, transform=grid.transform, tags=tags)
                )  # fmt: skip
        for write in writes:
            write.result()
    for place in todo:
        unit = unit_file(partial, plan.row(numbers[place]).tile)
        write_bytes_atomically(unit, json.dumps(_finished(plan, numbers[place], records[place])).encode())


def quantise(image: Tensor, source: Source) -> Tensor:
    """Round reflectance to whole digital numbers, within what reflectance can be.

    A value is the single-precision number nearest to its four decimals, as in datasets made of Sentinel-2 products.
    Small negative values stay: the real images have them, too.
    """
    lowest, highest = (round(limit * _STEPS) for limit in (source.bands[0].lowest, source.bands[0].highest))
    return (image.float() * _STEPS).round().clamp(lowest, highest) / _STEPS


def _given(plan: Plan, sample: Sample, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """The sources that the model may see, where they hold data, and where one of them does (B, H, W)."""
    given = {name: sample.sources[name].to(device) for name in plan.sources}
    valid = {name: sample.valid[name].to(device) for name in plan.sources}
    return given, valid, torch.stack(list(valid.values())).any(dim=0)


def _paint(plan: Plan, sample: Sample, device: torch.device, residuals: Residuals | None) -> _Images:
    given, valid, made = _given(plan, sample, device)
    rows = [plan.row(n) for n in sample.tile.tolist()]
    if residuals is None:
        images = _draw(plan, given, valid, sample, [row.tile for row in rows])
    else:
        images = _vary(
            plan,
            plan.model(given, valid=valid, day_of_year=sample.day_of_year, sun=sample.sun),
            sample,
            rows,
            residuals,
        )
    if not torch.isfinite(images.movedim(2, -1)[made.expand(len(images), *made.shape)]).all():
        raise InputError(
            explain(f"run {plan.origin.run}", expected="a generator that makes numbers", found=f"NaN or infinity around tile {rows[0].tile}",
                    fix="Its training diverged; use an earlier checkpoint or train again.")
        )  # fmt: skip
    images = torch.where(made[:, None], quantise(images, plan.optical), torch.nan)
    bands = plan.truth_bands()
    real = torch.tensor([not row.synthetic for row in rows], device=device)  # a synthetic image is no truth
    scored = sample.optical_valid.to(device) & made & real[:, None, None] & (bands is not None)
    truth = sample.optical[:, bands].to(device) if bands is not None and bool(scored.any()) else None
    return _Images(images, made, scored, truth)


def _draw(
    plan: Plan, given: dict[str, Tensor], valid: dict[str, Tensor], sample: Sample, names: Sequence[str]
) -> Tensor:
    """The deterministic images, or draws that follow from the seed and the tile's name alone: (S, B, C, H, W)."""
    options = plan.options
    if options.samples == 1:
        image: Tensor = plan.model(given, valid=valid, day_of_year=sample.day_of_year, sun=sample.sun)
        return image[None]
    _, drawn = plan.model.draw(
        given, samples=range(options.samples), names=names, origins=[(0, 0)] * len(names), seed=options.seed,
        valid=valid, day_of_year=sample.day_of_year, sun=sample.sun,
    )  # fmt: skip
    return drawn.movedim(1, 0)


def _vary(plan: Plan, plain: Tensor, sample: Sample, rows: Sequence[TileRow], residuals: Residuals) -> Tensor:
    """The deterministic images (B, C, H, W) with residuals of other tiles, other ones for each sample: (S, B, C, H, W)."""
    classes = sample.sources["lulc"][:, 0].to(plain.device)
    seed = plan.options.seed
    return torch.stack([
        torch.stack([
            residuals.lay_over(image, own, tile=row.tile, scene=row.scene, seed=seed, sample=n)
            for image, own, row in zip(plain, classes, rows, strict=True)
        ])
        for n in range(plan.options.samples)
    ])  # fmt: skip


def _score(plan: Plan, sample: Sample, painted: _Images, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """What is known of each tile's images: rows of scores, as JSON."""
    records: list[dict[str, Any]] = [{} for _ in numbers]
    if painted.truth is not None:
        answers = {f"{n}": image for n, image in enumerate(painted.images)}
        if len(painted.images) > 1:
            answers["mean"] = painted.images.mean(dim=0)
        for name, image in answers.items():
            _score_images(plan, image, painted, sample.tile, name, records)
    if len(painted.images) > 1:
        for place, record in enumerate(records):  # tile by tile: the scores of draws take much memory
            one = slice(place, place + 1)
            draws = painted.images[:, one]
            shown = torch.stack([DISPLAY.apply(draw) for draw in draws])
            record["distance"] = pairwise_distance(shown, painted.made[one]).item()
            if painted.truth is not None and bool(painted.scored[place].any()):
                scores = SampleScores(balanced=plan.donors is None)
                scores.add(draws, painted.truth[one], valid=painted.scored[one], tile=sample.tile[one].to(draws.device))
                record["spread"] = scores.state()[0].tolist()
    return records


def _score_images(
    plan: Plan, image: Tensor, painted: _Images, tile: Tensor, name: str, records: list[dict[str, Any]]
) -> None:
    assert painted.truth is not None
    scores = ImageScores(plan.optical.band_names)
    scores.add(image, painted.truth, valid=painted.scored, tile=tile.to(image.device))
    found = {row["tile"]: row for row in scores.per_tile()}
    for place, (state, number) in enumerate(zip(scores.state().tolist(), tile.tolist(), strict=True)):
        if bool(painted.scored[place].any()):
            records[place].setdefault("states", {})[name] = state
            records[place].setdefault("quality", {})[name] = {
                key: None if found[number][key] is None else round(found[number][key], digits)
                for key, digits in QUALITY.items()
            }


def _tags(plan: Plan, number: int, record: dict[str, Any], n: int) -> dict[str, str]:
    row = plan.row(number)
    quality = record.get("quality", {}).get(f"{n}", {})
    return {
        **plan.origin.tags(sources=record["seen"], seed=plan.options.seed, sample=n + 1, samples=plan.options.samples),
        "parent": row.parent or row.tile, "parent_split": row.parent_split or row.split,
        **({"residuals": f"{len(plan.lenders)}"} if plan.lenders else {}),
        **{name: f"{value}" for name, value in quality.items() if value is not None},
    }  # fmt: skip


def _finished(plan: Plan, number: int, record: dict[str, Any]) -> dict[str, Any]:
    """The unit's result: its lines of `tiles.csv`, its scores."""
    row = plan.row(number)
    child = replace(
        row, synthetic=True, parent=row.parent or row.tile, parent_split=row.parent_split or row.split,
        valid_fraction=record["valid_fraction"], cloud_fraction=0.0,
    )  # fmt: skip
    rows = [asdict(replace(child, tile=stem)) for stem in plan.stems(number)]
    return {"rows": rows, **{key: record[key] for key in ("quality", "states", "distance", "spread") if key in record}}


def _valid_fraction(plan: Plan, sample: Sample, place: int, made: Tensor) -> float:
    """The share of pixels at which the image and every real source of the tile have data."""
    tile = plan.row(int(sample.tile[place])).tile
    masks = [sample.valid[name][place] for name in plan.held if plan.dataset.has(name, tile)]
    return float(torch.stack([made, *masks]).all(dim=0).float().mean())


def _grid(plan: Plan, tile: str) -> Georeference:
    return read_georeference(next(plan.dataset.tile_path(n, tile) for n in plan.held if plan.dataset.has(n, tile)))


def _carry_sources(plan: Plan, partial: Path, tile: str, stem: str) -> None:
    """Put the real sources beside the image: as second names of the same files where the disk allows."""
    for name in plan.held:
        if not plan.dataset.has(name, tile):
            continue
        original = plan.dataset.tile_path(name, tile).resolve()
        target = partial / plan.dataset.source(name).folder / f"{stem}.tif"
        if target.exists():
            continue  # of an interrupted job: either kind is put there whole
        try:
            target.hardlink_to(original)
        except OSError:
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            shutil.copyfile(original, temporary)
            temporary.replace(target)
