"""From scenes to a dataset folder: one unit of work per scene, whatever the number of workers."""

import hashlib
from dataclasses import dataclass
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.data.assemble import finish_dataset, made_by, pack_record
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.splits import parse_ratio
from rsspade.data.statistics import TileStatistics, tile_statistics
from rsspade.errors import InputError, check_seed, explain
from rsspade.jobs import open_job, run_units
from rsspade.landcover import scheme_named
from rsspade.sources import SOURCES, Source
from rsspade.world.clouds import CLEAR
from rsspade.world.conditions import MAX_SCENE_PX, MAX_SCENES, place_of, scene_name
from rsspade.world.scene import SceneSpec, make_scene
from rsspade.world.terrain import PIXEL_M
from rsspade.world.variants import VARIANTS, WORLD_VERSION

__all__ = ["MIN_TILE_PX", "WorldOptions", "build_world"]

MIN_TILE_PX = 64
SCHEME = "dynamic_world"
SPLIT_RATIO = "7:2:1"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldOptions:
    """What a world is to be; checked when it is built."""

    scenes: int = 24
    tile_size: int = 128
    scene_size: int = 512
    seed: int = 0
    clouds: float = 0.0
    oracle: bool = False
    variant: str = "a"

    def __post_init__(self) -> None:
        _check("--scenes", 1 <= self.scenes <= MAX_SCENES, f"1 to {MAX_SCENES}", self.scenes)
        _check(
            "--tile-size",
            MIN_TILE_PX <= self.tile_size <= MAX_SCENE_PX,
            f"{MIN_TILE_PX} to {MAX_SCENE_PX} pixels",
            self.tile_size,
        )
        fits = self.tile_size <= self.scene_size <= MAX_SCENE_PX and self.scene_size % self.tile_size == 0
        _check(
            "--scene-size",
            fits,
            f"a multiple of the tile size {self.tile_size}, at most {MAX_SCENE_PX}",
            self.scene_size,
        )
        check_seed(self.seed)
        _check("--clouds", 0 <= self.clouds <= 1, "a share between 0 and 1", self.clouds)
        _check("--variant", self.variant in VARIANTS, f"one of {', '.join(VARIANTS)}", self.variant)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What the dataset will hold."""
        names = ["s2", "s1", "lulc", "dem"]
        names += ["s2_cloudy", "cloud"] if self.clouds > 0 else []
        names += ["oracle"] if self.oracle else []
        return tuple(SOURCES[name] for name in names)

    def as_arguments(self) -> dict[str, Any]:
        """As kept in `dataset.json` and compared when a job is continued."""
        return {
            "scenes": self.scenes, "tile_size": self.tile_size, "scene_size": self.scene_size, "seed": self.seed,
            "clouds": self.clouds, "oracle": self.oracle, "variant": self.variant,
        }  # fmt: skip


def build_world(out: Path, options: WorldOptions, *, workers: int = 1) -> DatasetFolder:
    """Make the dataset, or go on with it where an earlier run stopped."""
    _check("--workers", workers >= 1, "1 or more", workers)
    arguments = {"command": "world", "world_version": WORLD_VERSION, **options.as_arguments()}
    with open_job(out, arguments) as folder:
        for source in options.sources:
            (folder / source.folder).mkdir(exist_ok=True)
        units = [(scene_name(i), (options, i)) for i in range(options.scenes)]
        results = run_units(folder, units, write_scene, workers=workers, title="scenes")
        hashes = {tile: digest for result in results.values() for tile, digest in result["hashes"].items()}
        lines = "\n".join(f"{tile},{hashes[tile]}" for tile in sorted(hashes))
        world = {
            "version": WORLD_VERSION, "variant": options.variant,
            "pixel_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        }  # fmt: skip
        finish_dataset(
            folder, [record for result in results.values() for record in result["records"]],
            name=f"world-{options.variant}-{options.seed}", tile_size=options.tile_size, pixel_size=PIXEL_M, sources=options.sources,
            landcover_scheme=SCHEME, sun=_suns(results), split_mode="scene", split_ratio=parse_ratio(SPLIT_RATIO), seed=options.seed,
            provenance={**made_by("world", options.as_arguments()), "world": world},
        )  # fmt: skip
    return DatasetFolder.open(out)


def _suns(results: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """Of each scene; one that an older version made, in a job that goes on, tells none."""
    return {scene: results[scene]["sun"] for scene in sorted(results) if "sun" in results[scene]}


def write_scene(folder: Path, options: WorldOptions, index: int) -> dict[str, Any]:
    """Make one scene and write its tiles; returns their records and pixel hashes."""
    spec = SceneSpec(
        seed=options.seed, variant=options.variant, index=index, size=options.scene_size, clouds=options.clouds
    )
    scene = make_scene(spec)
    crs, left, top = place_of(index)
    records, hashes = [], {}
    step = options.tile_size
    for row in range(options.scene_size // step):
        for column in range(options.scene_size // step):
            tile = f"{scene_name(index)}_r{row:02d}_c{column:02d}"
            window = (slice(None), slice(row * step, (row + 1) * step), slice(column * step, (column + 1) * step))
            values = {s.name: np.ascontiguousarray(scene.images[s.name][window]) for s in options.sources}
            x, y = left + column * step * PIXEL_M, top - row * step * PIXEL_M
            statistics = _write_sources(
                folder, tile, values, crs=CRS.from_string(crs), transform=Affine(PIXEL_M, 0, x, 0, -PIXEL_M, y)
            )
            clouded = float((values["cloud"] != CLEAR).mean()) if "cloud" in values else 0.0
            place = TileRow(
                tile=tile, scene=scene_name(index), split="", crs=crs, x_min=x, y_max=y, valid_fraction=1.0,
                cloud_fraction=clouded, s1_date=scene.conditions.s1_date, s2_date=scene.conditions.s2_date,
            )  # fmt: skip
            records.append(pack_record(place, statistics))
            hashes[tile] = _pixel_hash(values)
    # To a hundredth of a degree, so that the last bit of a processor's arithmetic does not reach the file.
    sun = [round(scene.conditions.sun_azimuth, 2), round(scene.conditions.sun_elevation, 2)]
    return {"records": records, "hashes": hashes, "sun": sun}


def _write_sources(
    folder: Path, tile: str, values: dict[str, np.ndarray], *, crs: CRS, transform: Affine
) -> dict[str, TileStatistics]:
    statistics = {}
    colours = bind(scheme_named(SCHEME).colormap)
    for name, pixels in values.items():
        source = SOURCES[name]
        path = folder / source.folder / f"{tile}.tif"
        write_tile(path, pixels, source, crs=crs, transform=transform, colormap=colours() if name == "lulc" else None)
        statistics[source.folder] = tile_statistics(pixels, source)
    return statistics


def _pixel_hash(values: dict[str, np.ndarray]) -> str:
    """Over names and values of all sources, the same on machines of either byte order."""
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(name.encode())
        digest.update(values[name].astype(values[name].dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _check(option: str, holds: bool, expected: str, found: object) -> None:
    if not holds:
        raise InputError(explain(option, expected=expected, found=repr(found), fix="Correct the option."))
