"""The plan of a scene: which pixels of which files become which tiles, in which units.

Everything that can be wrong with the inputs is found here, on thinned copies, before anything is written.
A plan is small and can travel to a worker; the work itself is in `prepare`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pyproj import Proj
from rasterio.warp import transform_bounds

from rsspade.errors import InputError, explain
from rsspade.geo.grid import Grid, intersect, is_utm, utm_crs_of
from rsspade.geo.inputs import RadarInput, plan_classes, plan_clouds, plan_elevation, plan_radar
from rsspade.geo.mosaic import Mosaic, Part, fitted, outline
from rsspade.geo.optical import is_scl
from rsspade.geo.optical_input import OpticalInput, plan_optical
from rsspade.geo.raster import RasterFile, crs_of, inspect_raster, sample_classes
from rsspade.geo.scenes import INPUTS, SceneFiles
from rsspade.landcover import find_map, scheme_named
from rsspade.sources import DEFAULT_OPTICAL_BANDS

__all__ = [
    "LONGEST_SIDE_M", "PrepareOptions", "ScenePlan", "grid_of_file", "is_metric", "plan_scene", "refuse_antimeridian",
]  # fmt: skip

LONGEST_SIDE_M = 1_000_000.0
"""No scene is larger; files that are further apart are several scenes, and one UTM zone would not do for them."""


_MOST_STRETCH = 0.15
"""Of a metre: UTM has 0.001, equal-area maps of continents up to 0.07, the web's maps (EPSG:3857) 0.5 at 48 degrees."""


_MARGIN = 3
"""Pixels beyond a window that slopes need, see `windows.read_terrain`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareOptions:
    """What the user may choose; the same for all scenes."""

    s2_bands: tuple[str, ...] = DEFAULT_OPTICAL_BANDS
    tile_size: int = 256
    stride: int = 256
    pixel_size: float = 10.0
    landcover_scheme: str = "dynamic_world"
    landcover_to: str = "dynamic_world"
    s1_unit: str = "auto"
    s2_offset: str = "auto"
    min_valid: float = 0.9
    grid_like: str = ""

    def __post_init__(self) -> None:
        checks = (
            ("--tile-size", 32 <= self.tile_size <= 4096, "32 to 4096 pixels", self.tile_size),
            ("--stride", 1 <= self.stride <= self.tile_size, "1 to the tile size", self.stride),
            ("--pixel-size", 0.1 <= self.pixel_size <= 1000, "0.1 to 1000 metres", self.pixel_size),
            ("--min-valid", 0 <= self.min_valid <= 1, "a share from 0 to 1", self.min_valid),
        )
        for name, fine, expected, found in checks:
            if not fine:
                raise InputError(explain(name, expected=expected, found=str(found), fix="Correct the option."))
        find_map(self.landcover_scheme, self.landcover_to)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenePlan:
    """One scene, ready for work: its grid, and where each source comes from."""

    name: str
    grid: Grid
    optical: OpticalInput | None
    radar: RadarInput | None
    landcover: Mosaic | None
    elevation: Mosaic | None
    clouds: Mosaic | None
    clouds_are_scl: bool
    s1_date: str
    s2_date: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """Of all sources."""
        own = [source.mosaic for source in (self.optical, self.radar) if source is not None]
        given = [*own, *(mosaic for mosaic in (self.landcover, self.elevation, self.clouds) if mosaic is not None)]
        return tuple(part for mosaic in given for part in mosaic.parts)

    def tile_starts(self, options: PrepareOptions) -> tuple[list[int], list[int]]:
        """The first rows and columns of the tiles, counted from the upper-left corner of the grid."""
        size, stride = options.tile_size, options.stride
        return (
            list(range(0, self.grid.height - size + 1, stride)),
            list(range(0, self.grid.width - size + 1, stride)),
        )

    def provenance(self) -> dict[str, object]:
        """What `dataset.json` tells of this scene: names of files, and what was found out about them."""
        told: dict[str, object] = {}
        if self.optical is not None:
            told["s2"] = self.optical.describe()
        if self.radar is not None:
            told["s1"] = self.radar.describe()
        for name, mosaic in (("lulc", self.landcover), ("dem", self.elevation), ("cloud_mask", self.clouds)):
            if mosaic is not None:
                told[name] = {"files": sorted({p.file.path.name for p in mosaic.parts})}
        return told


def plan_scene(files: SceneFiles, options: PrepareOptions) -> ScenePlan:
    """Inspect all files of a scene, settle units, choose the grid; refuse what cannot work."""
    paths = {i: files.paths.get(i, ()) for i in INPUTS}
    optical = plan_optical(paths["s2"], options.s2_bands, options.s2_offset) if paths["s2"] else None
    radar = plan_radar(paths["s1"], options.s1_unit) if paths["s1"] else None
    landcover = plan_classes(paths["lulc"], scheme_named(options.landcover_scheme)) if paths["lulc"] else None
    elevation = plan_elevation(paths["dem"]) if paths["dem"] else None
    clouds = plan_clouds(paths["cloud_mask"]) if paths["cloud_mask"] else (optical.scl if optical else None)
    if clouds is not None and optical is None:
        raise InputError(
            explain(f"scene {files.name}", expected="--s2 beside --cloud-mask", found="none", fix="Leave the mask out, or name the optical files.")
        )  # fmt: skip
    mosaics = {
        "s2": optical.mosaic if optical else None, "s1": radar.mosaic if radar else None, "lulc": landcover,
        "dem": elevation, "cloud mask": clouds,
    }  # fmt: skip
    given = {name: mosaic for name, mosaic in mosaics.items() if mosaic is not None}
    grid = _common_grid(files.name, given, options)
    ready = {name: fitted(mosaic, grid) for name, mosaic in given.items()}
    return ScenePlan(
        name=files.name, grid=grid,
        optical=replace(optical, mosaic=ready["s2"]) if optical else None,
        radar=replace(radar, mosaic=ready["s1"]) if radar else None,
        landcover=ready.get("lulc"), elevation=ready.get("dem"), clouds=ready.get("cloud mask"),
        clouds_are_scl=clouds is not None and _is_scl(clouds),
        s1_date=files.s1_date or (radar.date if radar else ""), s2_date=files.s2_date or (optical.date if optical else ""),
    )  # fmt: skip


def _is_scl(clouds: Mosaic) -> bool:
    """Asked of all files together: one of them may hold no more than the values that both codings use."""
    return any(is_scl(sample_classes(p.file, p.indexes[0]), p.file.path) for p in clouds.parts)


def _common_grid(scene: str, mosaics: dict[str, Mosaic], options: PrepareOptions) -> Grid:
    """The pixels that all sources cover, on the wanted grid or on that of the first source."""
    if options.grid_like:
        lattice = grid_of_file(Path(options.grid_like))
        first = "--grid"
    else:
        first, mosaic = next(iter(mosaics.items()))
        lattice = _grid_of_source(first, mosaic, options.pixel_size)
    box = lattice.bounds
    for name, mosaic in mosaics.items():
        own = outline(mosaic, lattice.crs)
        common = intersect(box, own)
        if not np.isfinite(own).all() or common is None:
            place = ", ".join(f"{v:.0f}" for v in own)
            wanted = ", ".join(f"{v:.0f}" for v in box)
            raise InputError(
                explain(mosaic.parts[0].file.path, expected=f"an overlap with {first} of scene {scene} (west, south, east, north {wanted} in {lattice.crs})",
                        found=f"{name} at {place}", fix="Name files of one place.")
            )  # fmt: skip
        box = common
    grid = lattice.clipped(box)
    if max(grid.width, grid.height) * grid.pixel_size > LONGEST_SIDE_M:
        raise InputError(
            explain(f"scene {scene}", expected=f"files of one place, at most {LONGEST_SIDE_M / 1000:.0f} km across",
                    found=f"{grid.width * grid.pixel_size / 1000:.0f}×{grid.height * grid.pixel_size / 1000:.0f} km", fix="Make a scene of each place with --scenes.")
        )  # fmt: skip
    if min(grid.width, grid.height) < options.tile_size:
        raise InputError(
            explain(f"scene {scene}", expected=f"an area of at least one tile ({options.tile_size} px) that all sources cover",
                    found=f"{grid.width}×{grid.height} px of {grid.pixel_size:g} m", fix="Lower --tile-size, or name files that cover more.")
        )  # fmt: skip
    refuse_antimeridian(f"scene {scene}", grid, mosaics.values())
    return grid


def refuse_antimeridian(scene: str, grid: Grid, mosaics: Iterable[Mosaic]) -> None:
    """Files in degrees end at the antimeridian, and a window across it would find nothing in them."""
    for file in (part.file for mosaic in mosaics for part in mosaic.parts):
        if crs_of(file).is_geographic:
            west, _, east, _ = transform_bounds(grid.crs, file.crs, *grid.expanded(_MARGIN).bounds)
            if west > east:
                raise InputError(
                    explain(file.path, expected=f"a projected CRS, since {scene} crosses the antimeridian", found=file.crs,
                            fix=f"Warp the file first, for instance with `gdalwarp -t_srs {grid.crs}`.")
                )  # fmt: skip


def _grid_of_source(name: str, mosaic: Mosaic, pixel_size: float) -> Grid:
    """The source's own lattice where it is UTM with the wanted pixels; else the UTM zone at its middle."""
    finest = min(mosaic.parts, key=lambda p: p.file.pixel_size[0]).file
    crs = finest.crs
    if is_utm(crs_of(finest)):
        box = outline(mosaic, crs)
        if all(abs(p - pixel_size) < 1e-6 * pixel_size for p in finest.pixel_size):
            # Not the multiple of the pixel size but the file's own corner: its pixels are then copied as they are.
            a = finest.affine
            x = a.c + round((box[0] - a.c) / pixel_size) * pixel_size
            y = a.f - round((a.f - box[3]) / pixel_size) * pixel_size
        else:
            x, y = box[0], box[3]
        return Grid(
            crs=crs, x_min=x, y_max=y, pixel_size=pixel_size,
            width=int((box[2] - x) / pixel_size + 1e-3), height=int((y - box[1]) / pixel_size + 1e-3),
        )  # fmt: skip
    box = outline(mosaic, crs)
    target = utm_crs_of(crs_of(finest), box, finest.path)
    return Grid.covering(target, transform_bounds(crs, target, *box, densify_pts=51), pixel_size)


def is_metric(file: RasterFile) -> bool:
    """Whether a file's coordinates are metres, on the ground too: those of the web's maps are half as long at 60 degrees north."""
    crs = crs_of(file)
    return bool(crs.is_projected and crs.linear_units_factor[1] == 1 and abs(_stretch(file) - 1) <= _MOST_STRETCH)


def _stretch(file: RasterFile) -> float:
    """Metres of the map per metre on the ground in the middle of a file, in the direction in which they differ most."""
    projection = Proj(file.crs)
    west, south, east, north = file.bounds
    place = projection((west + east) / 2, (south + north) / 2, inverse=True)
    factors = projection.get_factors(*place)
    return float(max(factors.meridional_scale, factors.parallel_scale, key=lambda scale: abs(scale - 1)))


def grid_of_file(path: Path) -> Grid:
    """The grid of a raster that somebody names as the wanted one."""
    file = inspect_raster(path)
    if abs(file.pixel_size[0] - file.pixel_size[1]) > 1e-6 * file.pixel_size[0] or not is_metric(file):
        found = f"pixels of {file.pixel_size[0]:g}×{file.pixel_size[1]:g} in {file.crs}"
        if crs_of(file).is_projected and abs(_stretch(file) - 1) > _MOST_STRETCH:
            found += f", in which a metre on the ground is {_stretch(file):.2f} long"
        raise InputError(
            explain(path, expected="a grid of square pixels in metres", found=found,
                    fix="Give a raster in a projected CRS in metres, such as UTM.")
        )  # fmt: skip
    west, _, _, north = file.bounds
    return Grid(
        crs=file.crs, x_min=west, y_max=north, pixel_size=file.pixel_size[0], width=file.width, height=file.height
    )
