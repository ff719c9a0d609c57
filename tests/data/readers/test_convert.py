import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.data.packed import open_packed
from rsspade.data.readers import Sen12msReader, TerraMeshReader, convert
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import InputError, OutputError

REAL = os.environ.get("RSSPADE_REAL_DATA")


def write(path: Path, values: np.ndarray, west: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=values.shape[1], width=values.shape[2],
        crs=CRS.from_epsg(32650), transform=Affine(10, 0, west, 0, -10, 3_710_139.5),
    ) as out:  # fmt: skip
        out.write(values)


def make_cr(root: Path, scenes: tuple[int, ...] = (1, 106, 17)) -> Sen12msReader:
    """Three scenes of SEN12MS-CR, one per split; the radar of the last is empty."""
    for n, scene in enumerate(scenes):
        rng = np.random.default_rng(scene)
        for sensor, values in (
            ("s1", np.full((2, 16, 16), np.nan if n == 2 else -12, np.float32)),
            ("s2", rng.integers(1, 3000, (13, 16, 16)).astype(np.uint16)),
            ("s2_cloudy", rng.integers(1, 3000, (13, 16, 16)).astype(np.uint16)),
        ):
            folder = root / f"ROIs1158_spring_{sensor}" / f"{sensor}_{scene}"
            write(folder / f"ROIs1158_spring_{sensor}_{scene}_p1.tif", values, 7e5 + n * 1e4)
    return Sen12msReader(root)


def test_a_converted_dataset_reads_like_the_reader_and_keeps_its_splits(tmp_path: Path) -> None:
    reader = make_cr(tmp_path / "cr")
    data = convert(reader, tmp_path / "d")
    assert {r.tile: r.split for r in data.rows} == {r.tile: r.split for r in reader.rows}
    assert {r.split for r in data.rows} == {"train", "val", "test"}
    for row in data.rows:
        for name in ("s2", "s2_cloudy", "s1"):
            if data.has(name, row.tile):
                np.testing.assert_array_equal(data.read(name, row.tile), reader.read(name, row.tile))
    assert not data.has("s1", "ROIs1158_spring_17_p1")  # nothing valid in it
    place = reader.georeference("ROIs1158_spring_106_p1")
    row = next(r for r in data.rows if r.scene.endswith("_106"))
    assert (row.crs, row.x_min, row.y_max) == ("EPSG:32650", place.transform.c, place.transform.f)
    assert data.info.statistics == open_packed(reader).statistics  # of the train split alone, however it is read
    assert len(TileDataset(data, split="test", sources=("s1",))) == 1


def test_the_command_converts_and_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_cr(tmp_path / "cr")
    given = ["convert", str(tmp_path / "cr"), "--kind", "sen12ms", "--s2-bands", "red,nir"]
    assert main([*given, "--out", str(tmp_path / "d")]) == 0
    assert "3 tiles of 16 px (1 train, 1 val, 1 test), splits as published" in capsys.readouterr().out
    assert DatasetFolder.open(tmp_path / "d").optical_bands == ("red", "nir")
    capsys.readouterr()
    for words, told in (
        ([*given, "--out", str(tmp_path / "d")], "found"),  # there is something already
        (
            [*given, "--split", "val", "--out", str(tmp_path / "e")],
            "--split: expected no such option beside --kind sen12ms",
        ),
        (["convert", str(tmp_path / "cr"), "--kind", "terramesh", "--out", str(tmp_path / "e")], "expected"),
        (["convert", str(tmp_path / "none"), "--kind", "sen12ms", "--out", str(tmp_path / "e")], "no such folder"),
        ([*given[:-1], "ultraviolet", "--out", str(tmp_path / "e")], "ultraviolet"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert told in error
        assert not (tmp_path / "e").exists()


def test_nothing_is_overwritten_and_tiles_of_two_sizes_are_refused(tmp_path: Path) -> None:
    reader = make_cr(tmp_path / "cr")
    convert(reader, tmp_path / "d")
    with pytest.raises(OutputError, match="expected a new folder, found one that already holds a dataset"):
        convert(reader, tmp_path / "d")
    for sensor, bands in (("s1", 2), ("s2", 13), ("s2_cloudy", 13)):
        path = next((tmp_path / "cr").glob(f"ROIs1158_spring_{sensor}/{sensor}_1/*.tif"))
        kind = np.float32 if sensor == "s1" else np.uint16
        write(path, np.ones((bands, 32, 32), kind), 7e5)
    with pytest.raises(InputError, match="expected tiles of one size, found 16 px of 10 m, 32 px of 10 m"):
        convert(reader, tmp_path / "e")
    assert not (tmp_path / "e").exists()


@pytest.mark.skipif(not REAL, reason="RSSPADE_REAL_DATA does not name a folder with terramesh/ and sen12mscr/")
def test_the_real_tiles_convert(tmp_path: Path) -> None:
    data = convert(TerraMeshReader(Path(str(REAL)) / "terramesh"), tmp_path / "d")
    assert len(data.rows) == 3
    assert set(data.info.sources) == {"S2", "S1", "LULC", "DEM"}
    assert all(row.valid_fraction > 0.99 for row in data.rows)


def moved(path: Path, transform: Affine) -> None:
    with rasterio.open(path, "r+") as out:
        out.transform = transform


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (Affine(10, 0, 7e5 + 200, 0, -10, 3_710_139.5), r"s1_1_p1\.tif: expected the place of .*s2_1_p1\.tif \(EPSG:32650, upper left 700200"),
        (Affine(10, 0, 7e5, 0, 10, 3_710_139.5), r"s2_1_p1\.tif: expected square pixels, north up"),
    ],
)  # fmt: skip
def test_sources_of_a_tile_that_lie_apart_are_refused(tmp_path: Path, transform: Affine, told: str) -> None:
    reader = make_cr(tmp_path / "cr")
    moved(tmp_path / "cr" / "ROIs1158_spring_s2" / "s2_1" / "ROIs1158_spring_s2_1_p1.tif", transform)
    with pytest.raises(InputError, match=told):
        convert(reader, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_half_a_pixel_between_the_sources_of_a_tile_is_rounding(tmp_path: Path) -> None:
    reader = make_cr(tmp_path / "cr")
    moved(
        tmp_path / "cr" / "ROIs1158_spring_s2" / "s2_1" / "ROIs1158_spring_s2_1_p1.tif",
        Affine(10, 0, 7e5 + 4, 0, -10, 3_710_139.5),
    )
    assert len(convert(reader, tmp_path / "d").rows) == 3
