"""The files of a scene, as a network wants them: one grid, physical units, any window.

Everything that can be wrong with the files is found here, before anything is written.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from rasterio.warp import transform_bounds

from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.geo.grid import Grid, intersect, utm_crs_of
from rsspade.geo.inputs import RadarInput, plan_classes, plan_elevation, plan_radar
from rsspade.geo.mosaic import Kind, Mosaic, Part, fitted, outline, read_on_grid
from rsspade.geo.plan import LONGEST_SIDE_M, grid_of_file, is_metric, refuse_antimeridian
from rsspade.geo.raster import crs_of
from rsspade.geo.terrain import TERRAIN_BANDS
from rsspade.geo.windows import read_classes, read_radar, read_terrain
from rsspade.landcover import find_map, scheme_named
from rsspade.models import GeneratorInfo
from rsspade.sources import source_named

__all__ = [
    "BlockReader", "Readable", "SceneInputs", "grid_of_first", "plan_inputs", "refuse_elsewhere", "valid_pixels",
    "with_terrain",
]  # fmt: skip

_BLOCK_WIDTH = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneInputs:
    """Where each source of a scene comes from, and the grid on which it is wanted.

    Attributes:
        grid: Of the result.
        radar: Its files, None where there are none.
        landcover: Its files.
        elevation: Its files; heights, or all four bands of a dataset's DEM (see `with_terrain`).
        scheme: Of the land-cover files.
        model_scheme: Of the network.
    """

    grid: Grid
    radar: RadarInput | None
    landcover: Mosaic | None
    elevation: Mosaic | None
    scheme: str
    model_scheme: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are there, in the order of the networks."""
        given = {"s1": self.radar, "lulc": self.landcover, "dem": self.elevation}
        return tuple(name for name, source in given.items() if source is not None)

    def read(self, window: Grid) -> dict[str, np.ndarray]:
        """Source -> (bands, H, W) in physical units, NaN or 255 where there is nothing."""
        found: dict[str, np.ndarray] = {}
        if self.radar is not None:
            found["s1"] = read_radar(self.radar, window)
        if self.landcover is not None:
            found["lulc"] = read_classes(self.landcover, window, scheme=self.scheme, to=self.model_scheme)
        if self.elevation is not None:
            whole = self.elevation.num_bands == len(TERRAIN_BANDS)
            found["dem"] = read_on_grid(self.elevation, window) if whole else read_terrain(self.elevation, window)
        return found


class Readable(Protocol):
    """Sources that can be read on any window of a grid."""

    @property
    def grid(self) -> Grid:
        """The whole."""

    def read(self, window: Grid) -> dict[str, np.ndarray]:
        """Source -> (bands, H, W)."""


class BlockReader:
    """Windows from west to east, read in wide blocks: files that are stored row by row are slow in small pieces."""

    def __init__(self, inputs: Readable) -> None:
        self._inputs = inputs
        self._place = (0, 0, 0, 0)  # row, column, height, width
        self._block: dict[str, np.ndarray] = {}

    def read(self, row: int, column: int, height: int, width: int) -> dict[str, np.ndarray]:
        """As `SceneInputs.read`, for a window that lies inside the scene."""
        top, left, high, wide = self._place
        if not (row == top and height == high and left <= column and column + width <= left + wide):
            self._block = {}  # before the next one is read: there is memory for one
            wide = min(max(_BLOCK_WIDTH, width), self._inputs.grid.width - column)
            self._block = self._inputs.read(self._inputs.grid.window(row, column, height, wide))
            self._place, left = (row, column, height, wide), column
        return {name: values[:, :, column - left : column - left + width] for name, values in self._block.items()}


def valid_pixels(sources: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where any of the sources holds a value (H, W)."""
    return np.asarray(np.any([source_named(name).valid(values) for name, values in sources.items()], axis=0))


def plan_inputs(
    paths: Mapping[str, Sequence[Path]],
    info: GeneratorInfo,
    *,
    grid: Path | None = None,
    scheme: str | None = None,
    s1_unit: str = "auto",
) -> SceneInputs:
    """Inspect the files, settle units and classes, choose the grid; refuse what cannot work.

    Args:
        paths: Source (`s1`, `lulc`, `dem`) -> its files.
        info: The generator.
        grid: A raster on whose grid the result is wanted; that of the first source by default.
        scheme: Of the land cover; the generator's by default.
        s1_unit: Of the radar: auto, db, power or amplitude.
    """
    given = {name: paths[name] for name in ("s1", "lulc", "dem") if paths.get(name)}
    _refuse_unknown(given, info)
    wanted = info.landcover_scheme
    scheme = _input_scheme(scheme, wanted) if "lulc" in given else wanted
    radar = plan_radar(given["s1"], s1_unit) if "s1" in given else None
    landcover = plan_classes(given["lulc"], scheme_named(scheme)) if "lulc" in given else None
    elevation = plan_elevation(given["dem"]) if "dem" in given else None
    found = {"s1": radar.mosaic if radar else None, "lulc": landcover, "dem": elevation}
    mosaics = {name: mosaic for name, mosaic in found.items() if mosaic is not None}
    pixel = info.pixel_size_m
    place = grid_of_file(grid) if grid is not None else grid_of_first(mosaics, pixel or 10.0)
    refuse_elsewhere(mosaics, place)
    if pixel is not None and abs(place.pixel_size - pixel) > 0.01 * pixel:
        warnings.warn(
            f"the grid has pixels of {place.pixel_size:g} m, the generator learned at {pixel:g} m; name a raster of that size with --grid.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip
    ready = {name: fitted(mosaic, place) for name, mosaic in mosaics.items()}
    return SceneInputs(
        grid=place,
        radar=RadarInput(mosaic=ready["s1"], unit=radar.unit, date=radar.date) if radar else None,
        landcover=ready.get("lulc"),
        elevation=with_terrain(ready["dem"], place) if elevation else None,
        scheme=scheme,
        model_scheme=wanted,
    )


def _refuse_unknown(given: Mapping[str, Sequence[Path]], info: GeneratorInfo) -> None:
    flags = ", ".join(f"--{name}" for name in info.sources)
    if not given:
        raise InputError(
            explain("scene", expected=f"at least one of {flags}", found="none", fix="Name the files of a source.")
        )
    unknown = [name for name in given if name not in info.sources]
    if unknown:
        raise InputError(
            explain(f"--{unknown[0]}", expected=f"sources that the generator was trained with ({flags})", found=f"--{unknown[0]}",
                    fix="Leave it out, or name another --run.")
        )  # fmt: skip


def _input_scheme(scheme: str | None, wanted: str) -> str:
    if scheme is None:
        warnings.warn(
            f"the land cover is taken to be in the generator's classes ({wanted}); name its scheme with --landcover-scheme.",
            RSSpadeWarning, stacklevel=3,
        )  # fmt: skip
        return wanted
    find_map(scheme, wanted)
    return scheme


def grid_of_first(mosaics: Mapping[str, Mosaic], model_pixel: float) -> Grid:
    """The own pixels of the first source, as far as its files go, where they are square and in metres.

    Else pixels of the size that the generator learned at, in the UTM zone at the source's middle.
    """
    name, mosaic = next(iter(mosaics.items()))
    finest = min(mosaic.parts, key=lambda p: p.file.pixel_size[0]).file
    box = outline(mosaic, finest.crs)
    pixel = finest.pixel_size[0]
    if is_metric(finest) and abs(finest.pixel_size[1] - pixel) <= 1e-6 * pixel:
        a = finest.affine
        x, y = a.c + round((box[0] - a.c) / pixel) * pixel, a.f - round((a.f - box[3]) / pixel) * pixel
        grid = Grid(
            crs=finest.crs, x_min=x, y_max=y, pixel_size=pixel, width=round((box[2] - x) / pixel), height=round((y - box[1]) / pixel),
        )  # fmt: skip
    else:
        crs = utm_crs_of(crs_of(finest), box, finest.path)
        grid = Grid.covering(crs, transform_bounds(finest.crs, crs, *box, densify_pts=51), model_pixel)
    if max(grid.width, grid.height) * grid.pixel_size > LONGEST_SIDE_M:
        raise InputError(
            explain(f"--{name}", expected=f"files of one place, at most {LONGEST_SIDE_M / 1000:.0f} km across",
                    found=f"{grid.width * grid.pixel_size / 1000:.0f}×{grid.height * grid.pixel_size / 1000:.0f} km", fix="Make each place by itself, or give the wanted grid with --grid.")
        )  # fmt: skip
    return grid


def refuse_elsewhere(mosaics: Mapping[str, Mosaic], grid: Grid) -> None:
    """Refuse sources that do not touch the scene."""
    for name, mosaic in mosaics.items():
        own = outline(mosaic, grid.crs)
        if not np.isfinite(own).all() or intersect(grid.bounds, own) is None:
            there, here = (", ".join(f"{v:.0f}" for v in box) for box in (own, grid.bounds))
            raise InputError(
                explain(mosaic.parts[0].file.path, expected=f"an overlap with the scene (west, south, east, north {here} in {grid.crs})",
                        found=f"{name} at {there}", fix="Name files of one place.")
            )  # fmt: skip
    refuse_antimeridian("the scene", grid, mosaics.values())


def with_terrain(heights: Mosaic, grid: Grid) -> Mosaic:
    """All four bands of the files, where they have them on this very grid; else the heights alone.

    Slopes belong to a pixel size, and aspects cannot be resampled; on another grid they follow from the heights.
    """
    parts = []
    for part in heights.parts:
        names = [(text or "").strip().lower() for text in part.file.descriptions]
        a, b = part.file.affine, grid.transform
        phase = np.array([(a.c - b.c) / b.a, (a.f - b.f) / b.e])
        same = part.file.crs == grid.crs and np.allclose([a.a, a.e], [b.a, b.e], rtol=1e-6)
        if (
            names.count("elevation") != 1
            or not set(TERRAIN_BANDS) <= set(names)
            or not same
            or abs(phase - phase.round()).max() > 0.01
        ):
            return heights
        indexes = tuple(names.index(name) + 1 for name in TERRAIN_BANDS)
        parts.append(Part(file=part.file, indexes=indexes, bands=tuple(range(len(indexes)))))
    return Mosaic(parts=tuple(parts), num_bands=len(TERRAIN_BANDS), kind=Kind.ELEVATION)
