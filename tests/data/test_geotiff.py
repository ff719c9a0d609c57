"""Tiles on disk: what is written is what is read, where it was, in a form that any GIS opens."""

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.data import geotiff
from rsspade.data.geotiff import read_tile, write_tile
from rsspade.errors import InputError
from rsspade.sources import LULC, S1, S2

PLACE = {"crs": CRS.from_epsg(32632), "transform": Affine(10, 0, 500_000, 0, -10, 5_400_000)}


@given(
    west=st.floats(100_000, 900_000), north=st.floats(0, 10_000_000), pixel=st.sampled_from([0.5, 3.0, 10.0, 30.0]),
    zone=st.integers(1, 60), south=st.booleans(),
    values=hnp.arrays(np.float32, (2, 33, 47), elements=st.floats(-60, 30, width=32) | st.just(np.nan)),
)  # fmt: skip
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_georeference_and_values_survive_write_and_read(tmp_path, west, north, pixel, zone, south, values):
    path = tmp_path / "tile.tif"
    crs = CRS.from_epsg((32700 if south else 32600) + zone)
    place = Affine(pixel, 0, west, 0, -pixel, north)
    write_tile(path, values, S1, crs=crs, transform=place)
    with rasterio.open(path) as src:
        assert src.crs == crs
        np.testing.assert_allclose(tuple(src.transform), tuple(place), rtol=1e-14)
    np.testing.assert_array_equal(read_tile(path), values)


@pytest.mark.parametrize("side", [32, 64, 100, 128, 224, 256, 512])
def test_a_tile_is_tiled_compressed_described_and_declares_nodata(tmp_path, side):
    write_tile(tmp_path / "t.tif", np.zeros((4, side, side), np.float32), S2, **PLACE)
    with rasterio.open(tmp_path / "t.tif") as src:
        assert src.profile["tiled"]
        assert all(h % 16 == 0 and w % 16 == 0 for h, w in src.block_shapes)
        assert src.compression.name == "deflate"
        assert src.descriptions == ("blue", "green", "red", "nir")
        assert np.isnan(src.nodata)
        assert src.tags()["unit"] == "reflectance"


def test_a_colour_table_goes_along(tmp_path):
    write_tile(tmp_path / "t.tif", np.ones((1, 64, 64), np.uint8), LULC, colormap={1: (1, 2, 3, 255)}, **PLACE)
    with rasterio.open(tmp_path / "t.tif") as src:
        assert src.colormap(1)[1] == (1, 2, 3, 255)
        assert src.nodata == 255


def test_scale_offset_and_nodata_of_a_foreign_file_are_applied(tmp_path):
    with rasterio.open(
        tmp_path / "t.tif", "w", driver="GTiff", dtype="uint16", count=1, height=8, width=8, nodata=65535, **PLACE
    ) as dst:
        values = np.full((1, 8, 8), 1500, np.uint16)
        values[0, 0, 0] = 65535
        dst.write(values)
        dst.scales, dst.offsets = (1e-4,), (-0.1,)
    got = read_tile(tmp_path / "t.tif")
    assert np.isnan(got[0, 0, 0])
    np.testing.assert_allclose(got[0, 1:], 0.05, atol=1e-7)


def test_bands_are_found_by_description_not_by_position(tmp_path):
    values = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 32, 32), np.float32)
    write_tile(tmp_path / "t.tif", values, S2, **PLACE)
    assert read_tile(tmp_path / "t.tif", band_names=("nir", "blue"))[:, 0, 0].tolist() == [3, 0]
    with pytest.raises(InputError, match="expected a band described as 'swir16', found blue, green, red, nir"):
        read_tile(tmp_path / "t.tif", band_names=("swir16",))


def test_a_damaged_file_is_named(tmp_path):
    write_tile(tmp_path / "t.tif", np.random.default_rng(0).normal(size=(4, 256, 256)).astype(np.float32), S2, **PLACE)
    content = (tmp_path / "t.tif").read_bytes()
    (tmp_path / "t.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"t\.tif: expected a readable GeoTIFF"):
        read_tile(tmp_path / "t.tif")


def test_a_small_tile_in_a_huge_block_is_refused_before_it_is_read(tmp_path):
    block = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "compress": "deflate"}
    with rasterio.open(
        tmp_path / "t.tif", "w", driver="GTiff", dtype="uint8", count=1, height=32, width=32, **block, **PLACE
    ) as dst:
        dst.write(np.ones((1, 32, 32), np.uint8))
    with pytest.raises(
        InputError, match=r"t\.tif: expected blocks about as large as its 32×32 pixels, found blocks of 4096×4096"
    ):
        read_tile(tmp_path / "t.tif")


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "MAX_TILE_PIXELS", 64 * 64)
    write_tile(tmp_path / "t.tif", np.zeros((2, 128, 128), np.float32), S1, **PLACE)
    with pytest.raises(InputError, match="found 128×128"):
        read_tile(tmp_path / "t.tif")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "t.tif"
    path.write_bytes(b"before")

    def fail(self, target):
        raise OSError("no")

    monkeypatch.setattr(geotiff.Path, "replace", fail)
    with pytest.raises(OSError, match="no"):
        geotiff.write_bytes_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
