"""A land-cover map of a whole scene: probabilities of overlapping tiles, blended, then the likeliest class.

Tiles, windows, and the rows on disk by which an interrupted job goes on are those of `rsspade scene`. In memory are a
row of tiles and what the network needs for one of them, whatever the size of the scene.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.shutil import copy
from rasterio.windows import Window

from rsspade.errors import InputError, OutputError, explain
from rsspade.geo.grid import Grid
from rsspade.geo.inputs import RadarInput, plan_elevation, plan_radar
from rsspade.geo.mosaic import Mosaic, fitted, read_on_grid
from rsspade.geo.optical_input import OpticalInput, plan_optical
from rsspade.geo.terrain import TERRAIN_BANDS
from rsspade.geo.windows import read_optical, read_radar, read_terrain
from rsspade.jobs import disk_errors, open_job
from rsspade.landcover import Scheme
from rsspade.progress import progress_bar
from rsspade.sources import UNLABELLED
from rsspade.synthesis.blending import blend_tiles
from rsspade.synthesis.rows import RowFile
from rsspade.synthesis.scene_inputs import BlockReader, grid_of_first, refuse_elsewhere, with_terrain
from rsspade.synthesis.tiles import Tile, plan_tiles
from segmentation.labels import seen_pixels
from segmentation.models.checkpoint import Segmenter, SegmenterInfo

__all__ = ["MapInputs", "draw_map", "plan_map"]

_CACHE_BYTES = 128 * 1024 * 1024
_MULTIPLE = 32
"""Every network halves the grid at most five times."""
_ROWS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class MapInputs:
    """Where each source of a scene comes from; the result lies on the grid of the first one."""

    grid: Grid
    optical: OpticalInput | None
    radar: RadarInput | None
    elevation: Mosaic | None

    def read(self, window: Grid) -> dict[str, np.ndarray]:
        """Source -> (bands, H, W) in physical units, NaN where there is nothing."""
        found: dict[str, np.ndarray] = {}
        if self.optical is not None:
            found["s2"] = read_optical(self.optical, window)
        if self.radar is not None:
            found["s1"] = read_radar(self.radar, window)
        if self.elevation is not None:
            whole = self.elevation.num_bands == len(TERRAIN_BANDS)
            found["dem"] = read_on_grid(self.elevation, window) if whole else read_terrain(self.elevation, window)
        return found


def plan_map(
    paths: Mapping[str, Sequence[Path]], info: SegmenterInfo, *, s2_offset: str = "auto", s1_unit: str = "auto"
) -> MapInputs:
    """Inspect the files and choose the grid; refuse what cannot work."""
    given = {name: own for name, own in paths.items() if own}
    wrong = sorted(set(given) ^ set(info.sources))
    if wrong:
        flags = ", ".join(f"--{name}" for name in info.sources)
        raise InputError(
            explain("sources", expected=f"files for {flags}, all that the network sees", found=", ".join(f"--{n}" for n in given) or "none",
                    fix=f"{'Leave out' if wrong[0] in given else 'Add'} --{wrong[0]}.")
        )  # fmt: skip
    optical = plan_optical(given["s2"], info.bands["s2"], s2_offset) if "s2" in given else None
    radar = plan_radar(given["s1"], s1_unit) if "s1" in given else None
    elevation = plan_elevation(given["dem"]) if "dem" in given else None
    found = {
        "s2": optical.mosaic if optical else None, "s1": radar.mosaic if radar else None, "dem": elevation,
    }  # fmt: skip
    mosaics: dict[str, Mosaic] = {name: mosaic for name, mosaic in found.items() if mosaic is not None}
    grid = grid_of_first(mosaics, info.pixel_size_m or 10.0)
    refuse_elsewhere(mosaics, grid)
    ready = {name: fitted(mosaic, grid) for name, mosaic in mosaics.items()}
    return MapInputs(
        grid=grid,
        optical=replace(optical, mosaic=ready["s2"]) if optical else None,
        radar=replace(radar, mosaic=ready["s1"]) if radar else None,
        elevation=with_terrain(ready["dem"], grid) if elevation else None,
    )


def draw_map(
    out: Path, model: Segmenter, inputs: MapInputs, *, tile: int, overlap: int, arguments: dict[str, Any]
) -> None:
    """Draw the map of a scene; `out` appears when it is whole.

    Args:
        out: The GeoTIFF.
        model: The network, in eval mode, where it shall run.
        inputs: Its sources.
        tile: Side of a tile.
        overlap: Pixels that neighbouring tiles share.
        arguments: All that the result depends on, as JSON: an interrupted job goes on with the same ones only.
    """
    grid, scheme = inputs.grid, model.info.scheme
    ids = np.array(scheme.ids, np.uint16)
    plan = plan_tiles(grid.height, grid.width, tile=tile, overlap=overlap, multiple=_MULTIPLE)
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        open_job(out, arguments, single_file=True) as partial,
        disk_errors(out),
    ):
        rows = RowFile(partial, "map", bands=1, width=grid.width)
        with progress_bar(total=grid.height * grid.width, title="map", unit="px") as bar:
            bar.update(rows.rows * grid.width)
            if rows.rows < grid.height:
                predict = tile_predictor(model, inputs)
                for strip in blend_tiles(plan, predict, len(ids) + 1, first_row=rows.rows):
                    known = strip.values[-1] > 0.5
                    rows.append(np.where(known, ids[strip.values[:-1].argmax(axis=0)], UNLABELLED)[None])
                    bar.update(known.size)
        _write_cog(partial / out.name, rows, grid, scheme, {"model": model.info.architecture.model})


def tile_predictor(model: Segmenter, inputs: MapInputs) -> Callable[[Tile], np.ndarray | None]:
    """A function for `blend_tiles`: tile -> probabilities (K, h, w) and behind them where there is something to draw a map of."""
    reader = BlockReader(inputs)
    device = next(model.parameters()).device

    def predict(tile: Tile) -> np.ndarray | None:
        height = min(tile.height, inputs.grid.height - tile.row)
        width = min(tile.width, inputs.grid.width - tile.column)
        sources = reader.read(tile.row, tile.column, height, width)
        valid = seen_pixels({name: np.isfinite(values).all(axis=0) for name, values in sources.items()})
        if not valid.any():
            return None
        missing = ((0, tile.height - height), (0, tile.width - width))  # only where a tile reaches beyond the scene
        given = {
            name: torch.from_numpy(np.pad(values, ((0, 0), *missing), mode="reflect"))[None].to(device)
            for name, values in sources.items()
        }
        planes = model.probabilities(given)[0].cpu().numpy()
        return np.concatenate([planes, np.pad(valid, missing, mode="reflect")[None]])

    return predict


def _write_cog(path: Path, rows: RowFile, grid: Grid, scheme: Scheme, tags: Mapping[str, str]) -> None:
    """Class ids with their colours and names as a cloud-optimised GeoTIFF, and see that it can be read to its end."""
    plain = path.with_suffix(".plain.tif")
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": grid.height, "width": grid.width, "nodata": UNLABELLED,
        "crs": CRS.from_string(grid.crs), "transform": grid.transform, "tiled": True, "compress": "deflate",
        "bigtiff": "IF_SAFER",
    }  # fmt: skip
    try:
        with rasterio.open(plain, "w", **profile) as made:
            made.write_colormap(1, scheme.colormap())
            made.set_band_description(1, "landcover")
            made.update_tags(scheme=scheme.name, **tags, **{f"class_{c.id}": c.name for c in scheme.classes})
            for first in range(0, grid.height, _ROWS):
                part = rows.read(first, min(first + _ROWS, grid.height))
                made.write(part.astype(np.uint8), window=Window(0, first, grid.width, part.shape[1]))
        copy(
            str(plain), str(path), driver="COG", compress="DEFLATE", blocksize=256, bigtiff="IF_SAFER",
            overview_resampling="MODE", statistics="NO",
        )  # fmt: skip
        with rasterio.open(path) as made:  # a disk that fills up while GDAL closes the file is noticed by nobody else
            made.read(window=Window(grid.width - 1, grid.height - 1, 1, 1))
    except (RasterioError, OSError) as err:
        path.unlink(missing_ok=True)
        raise OutputError(
            explain(path.name, expected="a disk that takes the whole file", found=" ".join(str(err.__cause__ or err).split()),
                    fix="Free space; the same command continues.")
        ) from err  # fmt: skip
    finally:
        plain.unlink(missing_ok=True)
