import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.data.readers import TerraMeshReader
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import ConfigError, InputError
from rsspade.geo.terrain import terrain_derivatives

REAL = os.environ.get("RSSPADE_REAL_DATA")
needs_real_data = pytest.mark.skipif(
    not REAL, reason="RSSPADE_REAL_DATA does not name a folder with terramesh/ and sen12mscr/"
)
SIZE = 32


def write(path: Path, values: np.ndarray, *, epsg: int = 32632) -> None:
    """A file as the dataset has them: no nodata, no band names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=values.shape[1], width=values.shape[2],
        crs=CRS.from_epsg(epsg), transform=Affine(10, 0, 549_892.7, 0, -10, 6_344_077.6),
    ) as out:  # fmt: skip
        out.write(values)


def numbers(seed: int, *, offset: int = 0) -> np.ndarray:
    """Forest beside water as twelve bands of digital numbers, with or without the offset of newer products."""
    rng = np.random.default_rng(seed)
    forest = np.array([150, 200, 350, 250, 600, 1800, 2300, 2500, 2600, 2500, 1200, 550])
    water = np.array([400, 350, 300, 200, 150, 100, 80, 60, 50, 50, 20, 15])
    bands = np.where(np.arange(SIZE) < SIZE // 2, forest[:, None, None], water[:, None, None])
    return (bands + rng.integers(0, 40, (12, SIZE, SIZE)) + offset).astype(np.int16)


def make_tile(root: Path, tile: str, *, seed: int = 0, offset: int = 0, radar: str = "S1RTC") -> None:
    rng = np.random.default_rng(seed)
    write(root / "S2L2A" / f"{tile}.tif", numbers(seed, offset=offset))
    write(root / radar / f"{tile}.tif", rng.normal(-12, 4, (2, SIZE, SIZE)))
    write(root / "DEM" / f"{tile}.tif", (np.mgrid[:SIZE, :SIZE][1][None] * 3).astype(np.int16))
    write(root / "LULC" / f"{tile}.tif", rng.integers(0, 10, (1, SIZE, SIZE)).astype(np.uint8))


def test_every_source_comes_in_physical_units(tmp_path: Path) -> None:
    make_tile(tmp_path, "433D_629L_3_1")
    reader = TerraMeshReader(tmp_path)
    (row,) = reader.rows
    assert (row.tile, row.scene, row.split) == ("433D_629L_3_1", "433D_629L", "train")
    optical = reader.read("s2", row.tile)
    np.testing.assert_allclose(optical, numbers(0)[[1, 2, 3, 7]] / 1e4, atol=1e-7)
    assert reader.read("s1", row.tile).dtype == np.float32
    landcover = reader.read("lulc", row.tile)
    assert set(np.unique(landcover)) == {1, 2, 3, 4, 5, 6, 7, 9, 255}  # 0 no data and 8 cloud have no label
    dem = reader.read("dem", row.tile)
    np.testing.assert_array_equal(dem, terrain_derivatives(dem[0], 10.0))
    assert dem[1, 5, 5] == pytest.approx(np.degrees(np.arctan(0.3)), abs=1e-4)
    assert reader.georeference(row.tile).crs == CRS.from_epsg(32632)


def test_each_tile_is_asked_for_its_own_offset(tmp_path: Path) -> None:
    make_tile(tmp_path, "a", offset=0)
    make_tile(tmp_path, "b", offset=1000)
    reader = TerraMeshReader(tmp_path)
    np.testing.assert_array_equal(reader.read("s2", "a"), reader.read("s2", "b"))
    fixed = TerraMeshReader(tmp_path, offset=0)
    np.testing.assert_allclose(fixed.read("s2", "b") - fixed.read("s2", "a"), 0.1, atol=1e-6)


def test_a_tile_that_does_not_tell_its_offset_is_refused_or_left_out(tmp_path: Path) -> None:
    make_tile(tmp_path, "a")
    make_tile(tmp_path, "desert")
    write(tmp_path / "S2L2A" / "desert.tif", (numbers(0) + 3000).astype(np.int16))
    with pytest.raises(InputError, match=r"S2L2A/desert.tif: expected dark pixels .* Pass offset=0 or offset=-1000"):
        TerraMeshReader(tmp_path).read("s2", "desert")
    dataset = TileDataset(TerraMeshReader(tmp_path, undecided="leave_out"))
    assert [row.tile for row in dataset.rows] == ["a"]


def test_missing_pixels_are_found_in_files_that_declare_none(tmp_path: Path) -> None:
    make_tile(tmp_path, "a")
    optical, radar = numbers(0), np.full((2, SIZE, SIZE), -12.0)
    optical[:, 0, 0] = 0
    optical[1, 0, 1] = 0  # one clipped band is a value
    radar[1, 3, 3], radar[0, 4, 4] = np.nan, -np.inf
    write(tmp_path / "S2L2A" / "a.tif", optical)
    write(tmp_path / "S1RTC" / "a.tif", radar)
    elevation = np.zeros((1, SIZE, SIZE), np.int16)
    elevation[0, 9, 9] = -32768
    write(tmp_path / "DEM" / "a.tif", elevation)
    sample = TileDataset(TerraMeshReader(tmp_path))[0]
    assert torch_places(~sample.optical_valid) == {(0, 0)}
    assert torch_places(~sample.valid["s1"]) == {(3, 3), (4, 4)}
    assert torch_places(~sample.valid["dem"]) == {(9, 9)}


def torch_places(mask: object) -> set[tuple[int, int]]:
    return {(int(r), int(c)) for r, c in np.argwhere(np.asarray(mask))}


def test_either_kind_of_radar_is_found_and_any_band_can_be_chosen(tmp_path: Path) -> None:
    make_tile(tmp_path, "a", radar="S1GRD")
    make_tile(tmp_path, "b")
    reader = TerraMeshReader(tmp_path, optical_bands=("swir22", "red"))
    assert reader.tile_path("s1", "a").parent.name == "S1GRD"
    assert reader.tile_path("s1", "b").parent.name == "S1RTC"
    np.testing.assert_allclose(reader.read("s2", "a"), numbers(0)[[11, 3]] / 1e4, atol=1e-7)
    dataset = TileDataset(reader, crop_size=16)
    assert dataset[1].optical.shape == (2, 16, 16)
    assert dataset[1].present.tolist() == [True, True, True]


def test_the_published_split_is_kept_and_a_tile_in_two_splits_is_refused(tmp_path: Path) -> None:
    make_tile(tmp_path / "train", "a")
    make_tile(tmp_path / "val", "b")
    reader = TerraMeshReader(tmp_path)
    assert {row.tile: row.split for row in reader.rows} == {"a": "train", "b": "val"}
    assert len(TileDataset(reader, split="val")) == 1
    make_tile(tmp_path / "val", "a")
    with pytest.raises(InputError, match=r"expected each tile in one split.*found 'a' in train and val"):
        TerraMeshReader(tmp_path)


def test_what_is_not_terramesh_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected TerraMesh as folders S2L2A"):
        TerraMeshReader(tmp_path)
    make_tile(tmp_path, "a")
    write(tmp_path / "S2L2A" / "a.tif", np.zeros((4, SIZE, SIZE), np.int16))
    write(tmp_path / "LULC" / "a.tif", np.full((1, SIZE, SIZE), 77, np.uint8))
    write(tmp_path / "DEM" / "a.tif", np.zeros((1, SIZE, SIZE), np.int16), epsg=4326)
    reader = TerraMeshReader(tmp_path)
    with pytest.raises(InputError, match=r"S2L2A/a.tif: expected 12 bands, found 4"):
        reader.read("s2", "a")
    with pytest.raises(InputError, match=r"LULC/a.tif: expected class ids of terramesh .* found ids 77"):
        reader.read("lulc", "a")
    with pytest.raises(InputError, match=r"DEM/a.tif: expected elevation on a metric grid, found EPSG:4326"):
        reader.read("dem", "a")
    with pytest.raises(InputError, match="expected the source s2 of tile b, found none"):
        reader.read("s2", "b")
    with pytest.raises(ConfigError, match="offset: expected auto, 0 or -1000, found 7"):
        TerraMeshReader(tmp_path, offset=7)


@needs_real_data
def test_the_real_tiles_have_plausible_spectra_whatever_their_offset(tmp_path: Path) -> None:
    reader = TerraMeshReader(Path(str(REAL)) / "terramesh")
    dataset = TileDataset(reader, cache=tmp_path, crop_size=128)
    assert len(dataset) == 3
    for index, row in enumerate(dataset.rows):
        sample = dataset[index]
        assert sample.present.all()
        trees = reader.read("lulc", row.tile)[0] == 2
        optical = reader.read("s2", row.tile)[:, trees]
        assert 0.0 < np.median(optical[2]) < 0.06, row.tile  # forest is dark in red: the offset was judged rightly
        assert 0.1 < np.median(optical[3]) < 0.4, row.tile
