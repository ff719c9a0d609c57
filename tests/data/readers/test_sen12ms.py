import os
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.data.readers import OFFICIAL_SPLITS, Sen12msReader, read_scene_list
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import InputError

REAL = os.environ.get("RSSPADE_REAL_DATA")
needs_real_data = pytest.mark.skipif(
    not REAL, reason="RSSPADE_REAL_DATA does not name a folder with terramesh/ and sen12mscr/"
)
ROIS = {"spring": "ROIs1158", "summer": "ROIs1868", "fall": "ROIs1970", "winter": "ROIs2017"}
SIZE = 16


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=SIZE, width=SIZE,
        crs=CRS.from_epsg(32650), transform=Affine(10, 0, 701_879.9, 0, -10, 3_710_139.5),
    ) as out:  # fmt: skip
        out.write(values)


def contents(sensor: str) -> np.ndarray:
    if sensor == "s1":
        return np.full((2, SIZE, SIZE), -12, np.float32)
    if sensor == "lc":
        return np.stack([np.full((SIZE, SIZE), v, np.uint16) for v in (17, 99, 99, 99)])
    return (np.arange(13)[:, None, None] * 100 + 500 + np.zeros((1, SIZE, SIZE))).astype(np.uint16)


def sen12ms(
    root: Path, season: str, scene: int, patch: int = 1, *, sensors: tuple[str, ...] = ("s1", "s2", "lc")
) -> None:
    area = f"{ROIS[season]}_{season}"
    for s in sensors:
        write(root / area / f"{s}_{scene}" / f"{area}_{s}_{scene}_p{patch}.tif", contents(s))


def sen12ms_cr(
    root: Path, season: str, scene: int, patch: int = 1, *, sensors: tuple[str, ...] = ("s1", "s2", "s2_cloudy")
) -> None:
    area = f"{ROIS[season]}_{season}"
    for s in sensors:
        write(root / f"{area}_{s}" / f"{s}_{scene}" / f"{area}_{s}_{scene}_p{patch}.tif", contents(s))


def test_sen12ms_comes_in_physical_units(tmp_path: Path) -> None:
    sen12ms(tmp_path, "spring", 1, 407)
    reader = Sen12msReader(tmp_path)
    (row,) = reader.rows
    assert (row.tile, row.scene, row.split) == ("ROIs1158_spring_1_p407", "ROIs1158_spring_1", "train")
    np.testing.assert_allclose(reader.read("s2", row.tile)[:, 0, 0], [0.06, 0.07, 0.08, 0.12], atol=1e-7)
    assert (reader.read("s1", row.tile) == -12).all()
    assert (reader.read("lulc", row.tile) == 17).all()
    assert reader.read("lulc", row.tile).shape == (1, SIZE, SIZE)
    assert reader.georeference(row.tile).crs == CRS.from_epsg(32650)
    assert not reader.has("s2_cloudy", row.tile)


def test_sen12ms_cr_hands_out_the_clouded_image(tmp_path: Path) -> None:
    sen12ms_cr(tmp_path, "winter", 3)
    area = "ROIs2017_winter"
    write(
        tmp_path / f"{area}_s2_cloudy" / "s2_cloudy_3" / f"{area}_s2_cloudy_3_p1.tif", contents("s2") + np.uint16(5000)
    )
    sample = TileDataset(Sen12msReader(tmp_path), sources=("s1",), with_cloudy=True)[0]
    np.testing.assert_allclose(sample.cloudy["image"] - sample.optical, 0.5, atol=1e-6)
    assert sample.optical_valid.all()


def test_a_train_scene_does_not_take_in_the_test_scenes_whose_numbers_begin_alike(tmp_path: Path) -> None:
    for scene in (1, 106, 123, 140, 17, 2):
        sen12ms_cr(tmp_path, "spring", scene)
    reader = Sen12msReader(tmp_path)
    split = {row.scene.rsplit("_", 1)[1]: row.split for row in reader.rows}
    assert split == {"1": "train", "106": "test", "123": "test", "140": "test", "17": "val", "2": "train"}
    # The rule of the public loaders, on the same files: the train scene brings three test scenes with it.
    leaked = [
        r.tile
        for r in reader.rows
        if "ROIs1158_spring_s1/s1_1" in str(reader.tile_path("s1", r.tile)) and r.split == "test"
    ]
    assert len(leaked) == 3


@given(
    season=st.sampled_from(sorted(ROIS)), scene=st.integers(0, 200), dataset=st.sampled_from(sorted(OFFICIAL_SPLITS))
)
def test_the_official_splits_never_share_a_scene(season: str, scene: int, dataset: str) -> None:
    splits = OFFICIAL_SPLITS[dataset]
    assert not splits["test"] & splits["val"]
    assert sum((season, scene) in members for members in splits.values()) <= 1


def test_the_official_splits_have_their_published_sizes() -> None:
    sizes = {d: {s: len(v) for s, v in splits.items()} for d, splits in OFFICIAL_SPLITS.items()}
    assert sizes == {"SEN12MS": {"test": 26, "val": 25}, "SEN12MS-CR": {"test": 10, "val": 10}}


def test_the_same_number_in_another_season_is_another_scene(tmp_path: Path) -> None:
    sen12ms(tmp_path, "spring", 63)
    sen12ms(tmp_path, "summer", 63)
    assert [row.split for row in Sen12msReader(tmp_path).rows] == ["test", "train"]


def test_another_hold_out_list_can_be_given(tmp_path: Path) -> None:
    for scene in (63, 44, 5):
        sen12ms(tmp_path / "data", "spring", scene)
    listed = tmp_path / "scenes.txt"
    listed.write_text("ROIs1158_spring/s1_44\nROIs1158_spring/s1_5\n")
    reader = Sen12msReader(tmp_path / "data", hold_out=listed)
    assert {row.scene: row.split for row in reader.rows} == {
        "ROIs1158_spring_5": "test", "ROIs1158_spring_44": "test", "ROIs1158_spring_63": "train",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [("ROIs1158_spring/s1_1x\n", "found 'ROIs1158_spring/s1_1x'"), ("", "expected at least one scene, found none"),
     ("../../etc\n", "found '../../etc'")],
)  # fmt: skip
def test_a_hold_out_list_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scenes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_scene_list(path)


def test_the_damaged_patch_becomes_invalid_pixels(tmp_path: Path) -> None:
    sen12ms(tmp_path, "summer", 146, 202)
    radar = contents("s1")
    radar[0, :4] = np.nan
    write(tmp_path / "ROIs1868_summer" / "s1_146" / "ROIs1868_summer_s1_146_p202.tif", radar)
    sample = TileDataset(Sen12msReader(tmp_path), sources=("s1", "lulc"))[0]
    assert sample.valid["s1"].sum() == SIZE * (SIZE - 4)
    assert np.isfinite(sample.sources["s1"].numpy()).all()


def test_a_patch_with_some_sensors_only_is_a_tile_with_some_sources_only(tmp_path: Path) -> None:
    sen12ms_cr(tmp_path, "fall", 2, 1)
    sen12ms_cr(tmp_path, "fall", 2, 2, sensors=("s2", "s2_cloudy"))
    dataset = TileDataset(Sen12msReader(tmp_path), sources=("s1",))
    assert [dataset[n].present.item() for n in range(2)] == [True, False]


def test_a_file_in_the_folder_of_another_scene_is_refused(tmp_path: Path) -> None:
    sen12ms(tmp_path, "spring", 1)
    area = "ROIs1158_spring"
    write(tmp_path / area / "s1_1" / f"{area}_s1_106_p1.tif", contents("s1"))
    with pytest.raises(InputError, match="expected a file whose name agrees with its folder, found another scene"):
        Sen12msReader(tmp_path)


def test_a_folder_that_is_neither_or_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected the folders of SEN12MS .*, found neither"):
        Sen12msReader(tmp_path)
    sen12ms(tmp_path, "spring", 1)
    sen12ms_cr(tmp_path, "spring", 1)
    with pytest.raises(InputError, match="found SEN12MS and SEN12MS-CR"):
        Sen12msReader(tmp_path)


def test_hidden_leftovers_of_archives_are_passed_over(tmp_path: Path) -> None:
    sen12ms(tmp_path, "spring", 1)
    (tmp_path / "ROIs1158_spring" / "s1_1" / "._ROIs1158_spring_s1_1_p1.tif").write_bytes(b"")
    assert len(Sen12msReader(tmp_path).rows) == 1


@needs_real_data
def test_the_real_triplet_is_a_test_tile(tmp_path: Path) -> None:
    reader = Sen12msReader(Path(str(REAL)) / "sen12mscr")
    sample = TileDataset(reader, split="test", sources=("s1",), with_cloudy=True, cache=tmp_path)[0]
    assert reader.rows[0].tile == "ROIs1970_fall_139_p839"
    assert sample.optical.shape == (4, 256, 256)
    assert sample.optical_valid.all()
    assert 0.02 < sample.optical.median() < 0.4
    assert sample.cloudy["present"]
    assert -20 < sample.sources["s1"].mean() < -8
