"""`rsspade scene`, the work: sources of any size in, one seamless cloud-optimised GeoTIFF out.

In memory are a row of tiles and what the network needs for one of them, whatever the size of the scene.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch

from rsspade.data.torch_dataset import day_of_year
from rsspade.errors import RSSpadeWarning
from rsspade.jobs import disk_errors, open_job
from rsspade.models import RSSpade
from rsspade.progress import progress_bar
from rsspade.sources import source_named
from rsspade.sun import sun_over
from rsspade.synthesis.blending import blend_tiles
from rsspade.synthesis.cog import Encoding, write_cog
from rsspade.synthesis.fill import Filled, FillInput, fill_rows
from rsspade.synthesis.rows import RowFile
from rsspade.synthesis.scene_inputs import BlockReader, SceneInputs, valid_pixels
from rsspade.synthesis.tiles import Tile, TilePlan, plan_tiles

__all__ = ["SceneOptions", "make_scene", "tile_predictor"]

_CACHE_BYTES = 128 * 1024 * 1024
"""GDAL's block cache; its default, a share of the machine's memory, would be the largest part of ours."""

_NOISE_NAME = "scene"

_PAINTED = "any source"
_WHOLE = 0.98
"""Share of the painted pixels; less is more than the ragged edge of a file on another grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneOptions:
    """What the user may choose.

    Attributes:
        tile: Side of a tile.
        overlap: Pixels that neighbouring tiles share.
        samples: Draws; 1 for the deterministic image.
        with_spread: Whether the standard deviation over the draws is wanted as well.
        seed: Of the draws.
        date: Of the image wanted, where it is not that of the image to fill, or of the radar.
    """

    tile: int = 256
    overlap: int = 64
    samples: int = 1
    with_spread: bool = False
    seed: int = 0
    date: str = ""


def make_scene(
    out: Path,
    model: RSSpade,
    inputs: SceneInputs,
    options: SceneOptions,
    *,
    arguments: dict[str, Any],
    tags: Mapping[str, str],
    fill: FillInput | None = None,
) -> Filled | None:
    """Paint a scene; `out` appears when it is whole. Returns what a filled image is made of.

    Args:
        out: The GeoTIFF.
        model: The generator, where it shall run.
        inputs: Its sources.
        options: As chosen.
        arguments: All that the result depends on, as JSON: an interrupted job goes on with the same ones only.
        tags: Where the image comes from, for the file.
        fill: A real image whose clear pixels are kept.
    """
    grid, bands = inputs.grid, model.info.architecture.optical_bands
    names = [*bands, *(f"{band}_std" for band in bands if options.with_spread)]
    encoding = Encoding() if fill is None else fill.encoding
    offsets = [encoding.offset] * len(bands) + [0.0] * (len(names) - len(bands))
    plan = plan_tiles(
        grid.height, grid.width, tile=options.tile, overlap=options.overlap, multiple=2**model.info.architecture.depth
    )
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        open_job(out, arguments, single_file=True) as partial,
        disk_errors(out),
    ):
        rows = RowFile(partial, "image", bands=len(names), width=grid.width)
        seen = Counter[str]()
        _paint(rows, plan, tile_predictor(model, inputs, options, fill, seen), encoding, len(bands), len(names))
        _tell_of_gaps(seen, inputs.sources)
        filled = None
        if fill is not None:
            rows, filled = fill_rows(partial, rows, fill, grid, num_bands=len(bands))
        write_cog(partial / out.name, rows.finish(), grid, list(zip(names, offsets, strict=True)), tags)
    return filled


def _tell_of_gaps(seen: Mapping[str, int], sources: Sequence[str]) -> None:
    """Say which sources lie on a part of the scene only: a file may have been forgotten, and its edge is seen in the image."""
    for name in sources:
        share = seen[name] / max(seen[_PAINTED], 1)
        if seen[_PAINTED] and share < _WHOLE:
            warnings.warn(
                f"{name} holds values in {share:.1%} of what was painted; the rest is made without it. Is a file missing?",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip


def _paint(
    rows: RowFile,
    plan: TilePlan,
    predict: Callable[[Tile], np.ndarray | None],
    encoding: Encoding,
    bands: int,
    planes: int,
) -> None:
    """Append the rows that are missing; the last plane that `predict` returns says where the others count."""
    with progress_bar(total=plan.height * plan.width, title="scene", unit="px") as bar:
        bar.update(rows.rows * plan.width)
        if rows.rows == plan.height:
            return
        for strip in blend_tiles(plan, predict, planes + 1, first_row=rows.rows):
            valid = strip.values[-1] > 0.5
            image, spread = strip.values[:bands], strip.values[bands:planes]
            numbers = encoding.encode(image, valid)
            rows.append(np.concatenate([numbers, Encoding().encode(spread, valid)]) if len(spread) else numbers)
            bar.update(valid.size)


def tile_predictor(
    model: RSSpade,
    inputs: SceneInputs,
    options: SceneOptions,
    fill: FillInput | None = None,
    seen: Counter[str] | None = None,
) -> Callable[[Tile], np.ndarray | None]:
    """A function for `blend_tiles`: tile -> reflectance, its spread if wanted, and where any source holds a value.

    It counts in `seen` the pixels that each source holds, and those that any of them does.
    """
    reader = BlockReader(inputs)
    device = next(model.parameters()).device
    date = (
        options.date
        or (fill.date if fill is not None else "")
        or (inputs.radar.date if inputs.radar is not None else "")
    )
    if model.info.architecture.told and not date:
        warnings.warn(
            "the date of the image wanted is not known, and this generator was trained with it "
            f"(--{', --'.join(model.info.architecture.told)}): what it paints without is between the seasons at best. Name one with --date.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip

    def predict(tile: Tile) -> np.ndarray | None:
        height, width = (
            min(tile.height, inputs.grid.height - tile.row),
            min(tile.width, inputs.grid.width - tile.column),
        )
        sources = reader.read(tile.row, tile.column, height, width)
        valid = valid_pixels(sources)
        if not valid.any():
            return None
        if seen is not None:
            seen[_PAINTED] += int(valid.sum())
            seen.update({name: int(source_named(name).valid(values).sum()) for name, values in sources.items()})
        missing = ((0, tile.height - height), (0, tile.width - width))  # only where a tile reaches beyond the scene
        given = {
            name: torch.from_numpy(np.pad(values, ((0, 0), *missing), mode="reflect")).to(device)
            for name, values in sources.items()
        }
        day, sun = day_of_year(date), None
        if model.info.architecture.sun:
            middle = inputs.grid.transform * (tile.column + tile.width / 2, tile.row + tile.height / 2)
            sun = sun_over(date, inputs.grid.crs, *middle)
        if options.samples == 1:
            planes = model(given, day_of_year=day, sun=sun)
        else:
            batch = {name: values[None] for name, values in given.items()}
            _, draws = model.draw(
                batch, samples=range(options.samples), names=[_NOISE_NAME], origins=[(tile.row, tile.column)],
                seed=options.seed, day_of_year=day, sun=sun,
            )  # fmt: skip
            parts = [draws[0].mean(dim=0), *([draws[0].std(dim=0, correction=0)] if options.with_spread else [])]
            planes = torch.cat(parts)
        return np.concatenate([planes.float().cpu().numpy(), np.pad(valid, missing, mode="reflect")[None]])

    return predict
