"""A small dataset for the tests: a few scenes of made-up land, the same places seen by every source."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from rasterio.crs import CRS
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter

from rsspade.data.assemble import finish_dataset, made_by, pack_record
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.statistics import tile_statistics
from rsspade.geo.terrain import terrain_derivatives
from rsspade.landcover import scheme_named
from rsspade.sources import CLOUD, DEM, LULC, S1, S2, S2_CLOUDY, Source

settings.register_profile("any_machine", deadline=None)  # a busy one is slow and not wrong
settings.load_profile("any_machine")

DatasetMaker = Callable[..., DatasetFolder]
PIXEL = 10.0

# Class id of Dynamic World -> blue, green, red, nir (reflectance), VV, VH (dB): near the real tiles' means.
_LOOKS = {
    0: (0.060, 0.070, 0.060, 0.050, -17.0, -22.0),
    1: (0.020, 0.035, 0.025, 0.250, -8.5, -14.5),
    4: (0.050, 0.070, 0.090, 0.220, -12.5, -19.0),
    6: (0.090, 0.110, 0.120, 0.200, -7.0, -15.0),
}


def make_scene(rng: np.random.Generator, height: int, width: int) -> dict[str, np.ndarray]:
    """One scene: folder -> (bands, H, W) in physical units. Patches of classes make edges that all sources share."""
    ids = np.array(list(_LOOKS), np.uint8)
    votes = np.stack([gaussian_filter(rng.normal(size=(height, width)), 4) for _ in ids])
    landcover = ids[votes.argmax(axis=0)]
    lush = gaussian_filter(rng.normal(size=(height, width)), 6) * 12  # seen by radar and optics, not by the classes
    looks = np.zeros((6, height, width))
    for number, values in _LOOKS.items():
        looks[:, landcover == number] = np.array(values)[:, None]
    optical = looks[:4] * (1 + 0.1 * lush) + rng.normal(0, 0.003, (4, height, width))
    speckle = 10 * np.log10(rng.gamma(4.4, 1 / 4.4, (2, height, width)))
    elevation = 200 + gaussian_filter(rng.normal(size=(height, width)), 8) * 800
    return {
        "S2": optical.astype(np.float32),
        "S1": (looks[4:] + lush + speckle).astype(np.float32),
        "LULC": landcover[None],
        "DEM": terrain_derivatives(elevation, PIXEL),
    }


def _clouded(rng: np.random.Generator, optical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    thick = gaussian_filter(rng.normal(size=optical.shape[1:]), 6) > 0.03
    return np.where(thick, np.float32(0.7), optical), thick[None].astype(np.uint8)


@pytest.fixture(scope="session")
def make_dataset() -> DatasetMaker:
    """Factory of small, healthy datasets: `make_dataset(folder, scenes=4, ...) -> DatasetFolder`.

    Options: `scenes`, `grid` (rows, columns of tiles in a scene), `tile_size`, `sources` (folders),
    `missing` (pairs of folder and tile that are left out), `clouds`, `dates` (S1, S2), `seed`.
    Tiles are named `s0_0_1`: scene, row, column. Every pixel is valid, each scene stands alone.
    """

    def make(
        folder: Path,
        *,
        scenes: int = 4,
        grid: tuple[int, int] = (1, 2),
        tile_size: int = 64,
        sources: Sequence[str] = ("S2", "S1", "LULC", "DEM"),
        missing: Sequence[tuple[str, str]] = (),
        clouds: bool = False,
        dates: tuple[str, str] = ("2023-06-01", "2023-06-03"),
        seed: int = 0,
    ) -> DatasetFolder:
        kinds: dict[str, Source] = {s.folder: s for s in (S2, S1, LULC, DEM, S2_CLOUDY, CLOUD)}
        used = [*sources, *(("S2_CLOUDY", "CLOUD") if clouds else ())]
        for name in used:
            (folder / name).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        records: list[dict[str, Any]] = []
        for number in range(scenes):
            whole = make_scene(rng, grid[0] * tile_size, grid[1] * tile_size)
            if clouds:
                whole["S2_CLOUDY"], whole["CLOUD"] = _clouded(rng, whole["S2"])
            for i, j in np.ndindex(*grid):
                name = f"s{number}_{i}_{j}"
                west = 500_000.0 + number * 50_000 + j * tile_size * PIXEL
                north = 5_400_000.0 - i * tile_size * PIXEL
                window = np.s_[:, i * tile_size : (i + 1) * tile_size, j * tile_size : (j + 1) * tile_size]
                sums = {}
                for source in (kinds[f] for f in used if (f, name) not in missing):
                    values = whole[source.folder][window]
                    write_tile(
                        folder / source.folder / f"{name}.tif", values, source, crs=CRS.from_epsg(32632),
                        transform=Affine(PIXEL, 0, west, 0, -PIXEL, north),
                        colormap=scheme_named("dynamic_world").colormap() if source.folder == "LULC" else None,
                    )  # fmt: skip
                    sums[source.folder] = tile_statistics(values, source)
                row = TileRow(
                    tile=name, scene=f"s{number}", split="", crs="EPSG:32632", x_min=west, y_max=north, valid_fraction=1.0,
                    cloud_fraction=float((whole["CLOUD"][window] > 0).mean()) if clouds else None,
                    s1_date=dates[0], s2_date=dates[1],
                )  # fmt: skip
                records.append(pack_record(row, sums))
        return finish_dataset(
            folder, records, name="made-up land", tile_size=tile_size, pixel_size=PIXEL, sources=[kinds[f] for f in used],
            landcover_scheme="dynamic_world", split_mode="scene", split_ratio=(0.5, 0.25, 0.25), seed=0,
            provenance=made_by("test", {"seed": seed}),
        )  # fmt: skip

    return make
