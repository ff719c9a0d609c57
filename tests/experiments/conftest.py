"""A folder in the layout of TerraMesh, painted by the built-in world: what experiments on real tiles are tested with."""

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.world.scene import SceneSpec, make_scene

SIZE = 128
_CLASSES = {0: 1, 1: 2, 2: 9, 3: 3, 4: 4, 5: 9, 6: 5, 7: 6, 8: 7}
"""Dynamic World -> TerraMesh."""


def _write(path, values, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=SIZE, width=SIZE,
        crs=CRS.from_epsg(32632), transform=Affine(10, 0, 500_000 + 50_000 * number, 0, -10, 5_000_000),
    ) as out:  # fmt: skip
        out.write(values)


def write_tile(root, name, index):
    """One scene as the files of a tile: twelve optical bands without an offset, no nodata anywhere."""
    images = make_scene(SceneSpec(seed=3, variant="a", index=index, size=SIZE)).images
    blue, green, red, nir = np.clip(images["s2"] * 10_000, 1, 30_000)
    bands = [blue, blue, green, red, (red + nir) / 2, nir, nir, nir, nir, nir, nir / 2, nir / 4]
    _write(root / "S2L2A" / f"{name}.tif", np.stack(bands).astype(np.int16), index)
    _write(root / "S1RTC" / f"{name}.tif", images["s1"].astype(np.float64), index)
    _write(root / "DEM" / f"{name}.tif", images["dem"][:1].astype(np.int16), index)
    landcover = np.vectorize(lambda number: _CLASSES.get(int(number), 0))(images["lulc"]).astype(np.uint8)
    _write(root / "LULC" / f"{name}.tif", landcover, index)


@pytest.fixture(scope="session")
def terramesh_folder(tmp_path_factory):
    """Two tiles of 128 px; to be read, not changed."""
    root = tmp_path_factory.mktemp("terramesh")
    for index in range(2):
        write_tile(root, f"1{index}U_2R_1_1", index)
    return root
