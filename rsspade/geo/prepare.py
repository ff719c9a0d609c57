"""`rsspade prepare`, the work: scenes in, dataset out, window by window.

A scene is worked off in blocks of whole tiles; a block reads its window of every source on the scene's grid,
settles units, and writes its tiles. Blocks do not depend on each other, so they can run anywhere and in any
order, and an interrupted job goes on with the blocks that are missing.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from rsspade import __version__
from rsspade.data.assemble import finish_dataset, made_by, pack_record
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.statistics import TileStatistics, tile_statistics
from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.geo.grid import Grid
from rsspade.geo.mosaic import read_on_grid, source_step
from rsspade.geo.optical import decode_mask, decode_scl
from rsspade.geo.plan import PrepareOptions, ScenePlan, plan_scene
from rsspade.geo.scenes import SceneFiles
from rsspade.geo.windows import read_classes, read_optical, read_radar, read_terrain
from rsspade.jobs import discard_units, open_job, run_units
from rsspade.landcover import scheme_named
from rsspade.sources import CLOUD, DEM, LULC, S1, Source, optical_source

__all__ = ["fingerprint", "prepare_dataset"]

_BLOCK_PIXELS = 2048
"""The side of a block: two tiles of a JPEG 2000 product, and about 0.6 GB of memory for twelve bands."""

_MUCH_FINER = 2.5
"""Pixels of a file in one of ours, in a row, up to which blocks stay as they are: land cover in degrees has two in the north."""

_CACHE_BYTES = 128 * 1024 * 1024
"""GDAL's block cache; its default, a share of the machine's memory, would be the largest part of ours."""


def prepare_dataset(
    out: Path,
    scenes: Sequence[SceneFiles],
    options: PrepareOptions,
    *,
    split_ratio: tuple[float, float, float] = (0.7, 0.2, 0.1),
    split_mode: str = "scene",
    seed: int = 0,
    workers: int = 1,
    scheduler: str | None = None,
) -> DatasetFolder:
    """Make a dataset from scenes; `out` appears when it is whole."""
    settings = {
        **asdict(options), "s2_bands": list(options.s2_bands), "split": list(split_ratio), "split_mode": split_mode, "seed": seed,
    }  # fmt: skip
    # The order of files counts too: where two overlap, the first wins.
    several = len(scenes) > 1
    inputs: dict[str, Any] = {}
    for s in scenes:
        with _naming(s, several=several):
            files = {i: {str(p): [n, fingerprint(p)] for n, p in enumerate(paths)} for i, paths in s.paths.items()}
        inputs[s.name] = files | {"dates": [s.s1_date, s.s2_date]}
    arguments = {"command": "prepare", "software": __version__, "settings": settings, "inputs": inputs}
    if options.grid_like:
        arguments["grid"] = fingerprint(Path(options.grid_like))
    with open_job(out, arguments) as partial:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
            plans = []
            for scene in scenes:
                with _naming(scene, several=several):
                    plans.append(plan_scene(scene, options))
        for source in _sources(options):
            (partial / source.folder).mkdir(exist_ok=True)
        units = [
            (f"{plan.name}.{rows[0]:06d}.{columns[0]:06d}", (plan, options, rows, columns))
            for plan in plans
            for rows, columns in _blocks(plan, options)
        ]
        done = run_units(partial, units, prepare_block, workers=workers, scheduler=scheduler, title="prepare")
        _tell_of_empty_scenes(plans, done, options)
        records = [record for result in done.values() for record in result["tiles"]]
        if not records:
            discard_units(partial)  # the next try will have other options
        provenance = made_by("prepare", {**settings, "grid_like": Path(options.grid_like).name})
        return finish_dataset(
            partial, records, name=scenes[0].name if len(scenes) == 1 else f"dataset of {len(scenes)} scenes", tile_size=options.tile_size,
            pixel_size=plans[0].grid.pixel_size, sources=_sources(options), landcover_scheme=options.landcover_to, split_mode=split_mode,
            split_ratio=split_ratio, seed=seed,
            provenance={**provenance, "scenes": {p.name: p.provenance() for p in plans}},
        )  # fmt: skip


@contextlib.contextmanager
def _naming(scene: SceneFiles, *, several: bool) -> Iterator[None]:
    """Say of which scene of a table a refusal speaks, where its file alone does not tell."""
    try:
        yield
    except InputError as err:
        if not several or str(err).startswith("scene "):
            raise
        raise InputError(f"scene {scene.name}: {err}") from err


def _sources(options: PrepareOptions) -> list[Source]:
    clouded = optical_source(options.s2_bands, name="s2_cloudy", folder="S2_CLOUDY", title="Sentinel-2, clouded")
    return [optical_source(options.s2_bands), S1, LULC, DEM, clouded, CLOUD]


def fingerprint(path: Path) -> list[Any]:
    """Size and time of a file, or of all in a folder: enough to notice that a resumed job has other inputs."""
    try:
        state = path.stat()
        found = "neither" if not (path.is_dir() or path.is_file()) else ""
    except OSError as err:  # a name may be too long, too
        found = (err.strerror or "no such file").lower()
    if found:
        raise InputError(
            explain(path, expected="a raster file or a folder of them", found=found, fix="Correct the path.")
        )
    if path.is_dir():
        return sorted([str(p.relative_to(path)), *fingerprint(p)] for p in path.rglob("*") if p.is_file())
    return [state.st_size, state.st_mtime_ns]


def _blocks(plan: ScenePlan, options: PrepareOptions) -> list[tuple[list[int], list[int]]]:
    """The tiles of a scene in rectangles that are read at once."""
    rows, columns = plan.tile_starts(options)
    # Pixels of the files count: where they are much smaller than ours, a block of ours holds many of them.
    step = max([1.0, *(source_step(part.file, plan.grid) for part in plan.parts)])
    side = _BLOCK_PIXELS if step <= _MUCH_FINER else _BLOCK_PIXELS / step
    several = max(1, (int(side) - options.tile_size) // options.stride + 1)
    return [
        (rows[r : r + several], columns[c : c + several])
        for r in range(0, len(rows), several)
        for c in range(0, len(columns), several)
    ]


def prepare_block(
    partial: Path, plan: ScenePlan, options: PrepareOptions, rows: list[int], columns: list[int]
) -> dict[str, Any]:
    """Read one block, write its tiles; returns their records and the best share of valid pixels met."""
    size = options.tile_size
    window = plan.grid.window(rows[0], columns[0], rows[-1] + size - rows[0], columns[-1] + size - columns[0])
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
        layers, valid = _read_block(plan, options, window)
    tiles, best = [], 0.0
    for row in rows:
        for column in columns:
            part = np.s_[..., row - rows[0] : row - rows[0] + size, column - columns[0] : column - columns[0] + size]
            share = float(valid[part].mean())
            best = max(best, share)
            if share < options.min_valid or share == 0:
                continue
            place = plan.grid.window(row, column, size, size)
            name = f"{plan.name}_r{row // options.stride:03d}_c{column // options.stride:03d}"
            cut = {folder: (source, values[part]) for folder, (source, values) in layers.items()}
            tiles.append(_write_tiles(partial, plan, options, name, place, cut, share))
    return {"tiles": tiles, "best_valid": best}


def _read_block(
    plan: ScenePlan, options: PrepareOptions, window: Grid
) -> tuple[dict[str, tuple[Source, np.ndarray]], np.ndarray]:
    """Every source of a window in physical units, and where all of them hold data."""
    sources = {s.folder: s for s in _sources(options)}
    layers: dict[str, tuple[Source, np.ndarray]] = {}
    valid = np.ones((window.height, window.width), bool)
    if plan.optical is not None:
        image = read_optical(plan.optical, window)
        valid &= sources["S2"].valid(image)
        layers["S2"] = sources["S2"], image
    if plan.radar is not None:
        decibel = read_radar(plan.radar, window)
        valid &= S1.valid(decibel)
        layers["S1"] = S1, decibel
    if plan.landcover is not None:
        classes = read_classes(plan.landcover, window, scheme=options.landcover_scheme, to=options.landcover_to)
        valid &= LULC.valid(classes)
        layers["LULC"] = LULC, classes
    if plan.elevation is not None:
        terrain = read_terrain(plan.elevation, window)
        valid &= DEM.valid(terrain)
        layers["DEM"] = DEM, terrain
    if plan.clouds is not None:
        layers["CLOUD"] = CLOUD, _clouds(plan, window)
    return layers, valid


def _clouds(plan: ScenePlan, window: Grid) -> np.ndarray:
    assert plan.clouds is not None
    raw = read_on_grid(plan.clouds, window)
    decode = decode_scl if plan.clouds_are_scl else decode_mask
    return decode(raw, plan.clouds.parts[0].file.path)


def _write_tiles(
    partial: Path,
    plan: ScenePlan,
    options: PrepareOptions,
    name: str,
    place: Grid,
    cut: dict[str, tuple[Source, np.ndarray]],
    share: float,
) -> dict[str, Any]:
    """Write the sources of one tile; clouded pixels leave the clear image and stay in the clouded one."""
    statistics: dict[str, TileStatistics] = {}
    cloud_fraction = None
    if "CLOUD" in cut:
        mask = cut["CLOUD"][1][0]
        known = mask != CLOUD.nodata
        cloud_fraction = float((mask[known] > 0).mean()) if known.any() else None
        if (mask != 0).any():
            source, image = cut["S2"]
            clouded = optical_source(options.s2_bands, name="s2_cloudy", folder="S2_CLOUDY", title="")
            clear = np.where(mask == 0, image, np.float32(np.nan))
            cut = {**cut, "S2": (source, clear), "S2_CLOUDY": (clouded, image)}
            if not np.isfinite(clear).any():
                del cut["S2"]  # no clear pixel: the tile waits to be synthesised
    colors = scheme_named(options.landcover_to).colormap()
    for folder, (source, values) in cut.items():
        write_tile(
            partial / folder / f"{name}.tif", values, source, crs=rasterio.crs.CRS.from_string(place.crs), transform=place.transform,
            colormap=colors if folder == "LULC" else None,
        )  # fmt: skip
        statistics[folder] = tile_statistics(values, source)
    row = TileRow(
        tile=name, scene=plan.name, split="train", crs=place.crs, x_min=place.x_min, y_max=place.y_max, valid_fraction=share,
        cloud_fraction=cloud_fraction, s1_date=plan.s1_date, s2_date=plan.s2_date,
    )  # fmt: skip
    return pack_record(row, statistics)


def _tell_of_empty_scenes(plans: Sequence[ScenePlan], done: dict[str, Any], options: PrepareOptions) -> None:
    for plan in plans:
        results = [r for name, r in done.items() if name.rsplit(".", 2)[0] == plan.name]
        if not any(r["tiles"] for r in results):
            best = max(r["best_valid"] for r in results)
            warnings.warn(
                f"scene {plan.name}: no tile has {options.min_valid:.0%} of its pixels valid in all sources (the best has {best:.0%}); it adds nothing.",
                RSSpadeWarning, stacklevel=2,
            )  # fmt: skip
