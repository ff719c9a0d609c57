import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.data.packed import PackedTiles, open_packed
from rsspade.errors import InputError, OutputError, RSSpadeWarning

DatasetMaker = Callable[..., DatasetFolder]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSSPADE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))


def copies(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir())


def rewrite(data: DatasetFolder, name: str, tile: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one tile of a dataset."""
    import rasterio

    path = data.tile_path(name, tile)
    with rasterio.open(path) as src:
        crs, transform = src.crs, src.transform
    write_tile(path, change(data.read(name, tile)), data.source(name), crs=crs, transform=transform)


def test_the_copy_holds_every_value_of_every_source_bit_for_bit(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, clouds=True)
    packed = open_packed(data)
    assert set(packed.present) == {"s2", "s1", "lulc", "dem", "s2_cloudy", "cloud"}
    for number, tile in enumerate(packed.tiles):
        for name in packed.present:
            np.testing.assert_array_equal(packed.array(name)[number], data.read(name, tile), strict=True)


def test_the_copy_is_made_once_and_kept_beside_the_tiles(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    first = open_packed(data)
    written = (first.folder / "s2.npy").stat().st_mtime_ns
    assert first.folder.parent == data.path / ".packed"
    assert open_packed(DatasetFolder.open(data.path)).folder == first.folder
    assert (first.folder / "s2.npy").stat().st_mtime_ns == written


def test_a_changed_tile_makes_a_new_copy_and_removes_the_old_one(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    old = open_packed(data)
    rewrite(data, "s1", "s0_0_0", lambda v: v + 1)
    new = open_packed(data)
    assert new.folder != old.folder
    assert copies(data.path / ".packed") == [new.folder]
    np.testing.assert_array_equal(new.array("s1")[0], data.read("s1", "s0_0_0"))


@pytest.mark.parametrize("change", ["remove", "describe"])
def test_a_removed_tile_or_another_description_makes_a_new_copy(
    make_dataset: DatasetMaker, tmp_path: Path, change: str
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    old = open_packed(data).folder
    if change == "remove":
        data.tile_path("s2", "s1_0_0").unlink()
    else:
        text = (data.path / "dataset.json").read_text()
        (data.path / "dataset.json").write_text(text.replace('"made-up land"', '"renamed"'))
    packed = open_packed(DatasetFolder.open(data.path))
    assert packed.folder != old
    assert packed.present["s2"].tolist() == [True, True, change != "remove", True, True, True]


def test_a_deleted_copy_is_made_again(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    import shutil

    data = make_dataset(tmp_path / "d", scenes=3)
    before = open_packed(data).array("s2").copy()
    shutil.rmtree(data.path / ".packed")
    np.testing.assert_array_equal(open_packed(data).array("s2"), before)


def _truncate(folder: Path) -> None:
    os.truncate(folder / "dem.npy", 1000)


def _swap(folder: Path) -> None:
    (folder / "s1.npy").write_bytes((folder / "lulc.npy").read_bytes())


def _pickle(folder: Path) -> None:
    np.save(folder / "clear_share.npy", np.array([{"evil": 1}], object), allow_pickle=True)


def _claim_too_much(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    index["arrays"]["s2"]["bands"] = 10**9
    (folder / "index.json").write_text(json.dumps(index))


def _escape(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    index["arrays"]["../../s2"] = index["arrays"]["s2"]
    (folder / "index.json").write_text(json.dumps(index))


def _garble(folder: Path) -> None:
    (folder / "index.json").write_bytes(b"\xff{")


@pytest.mark.parametrize("damage", [_truncate, _swap, _pickle, _claim_too_much, _escape, _garble])
def test_a_damaged_copy_is_not_trusted_but_made_again(
    make_dataset: DatasetMaker, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    folder = open_packed(data).folder
    damage(folder)
    packed = open_packed(data)
    for name in ("s2", "s1", "dem"):
        np.testing.assert_array_equal(packed.array(name)[1], data.read(name, packed.tiles[1]))


def test_what_a_tile_does_not_hold_is_absent_and_takes_no_disk(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    missing = [("S1", f"s{n}_0_{k}") for n in range(4) for k in range(2)][1:]
    data = make_dataset(tmp_path / "d", scenes=4, missing=missing)
    rewrite(data, "dem", "s0_0_1", lambda v: v * np.nan)
    packed = open_packed(data)
    assert packed.present["s1"].tolist() == [True] + [False] * 7
    assert packed.present["dem"].tolist() == [True, False] + [True] * 6  # a source without one valid pixel is absent
    on_disk = (packed.folder / "s1.npy").stat()
    assert on_disk.st_blocks * 512 < on_disk.st_size / 2


def test_class_counts_and_clear_share_are_counted_per_tile(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, clouds=False)
    rewrite(data, "lulc", "s0_0_0", lambda v: np.full_like(v, 8))
    rewrite(data, "lulc", "s0_0_1", lambda v: np.full_like(v, 255))

    def half_empty(values: np.ndarray) -> np.ndarray:
        values[0, :32] = np.nan
        return values

    rewrite(data, "s2", "s1_0_0", half_empty)
    packed = open_packed(data)
    assert packed.class_counts[0].tolist() == [0] * 8 + [64 * 64, 0]
    assert packed.class_counts[1].tolist() == [0] * 9 + [64 * 64]
    assert packed.clear_share.tolist() == [1, 1, 0.5, 1, 1, 1]


def test_statistics_are_those_of_the_dataset(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    assert open_packed(data).statistics == data.info.statistics


def test_tiles_of_two_sizes_are_refused_by_name(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    rewrite(data, "s1", "s0_0_1", lambda v: v[:, :32])
    with pytest.raises(InputError, match=r"S1/s0_0_1.tif: expected 64×64 pixels, .* found 32×64"):
        open_packed(data)
    assert copies(data.path / ".packed") == []


def test_an_unreadable_tile_leaves_no_half_copy(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    path = data.tile_path("s2", "s0_0_1")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"s0_0_1.tif: expected a readable GeoTIFF"):
        open_packed(data)
    assert copies(data.path / ".packed") == []


def test_a_dataset_that_cannot_be_written_is_packed_in_the_cache_with_a_note(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    (data.path / ".packed").write_text("a file in its place")
    with pytest.warns(RSSpadeWarning, match=r"\.packed cannot be written; .* Set RSSPADE_CACHE"):
        packed = open_packed(data)
    assert packed.folder.is_relative_to(tmp_path / "home-cache" / "rsspade")
    np.testing.assert_array_equal(open_packed(data).array("s2"), packed.array("s2"))  # found again, without a note


def test_a_chosen_cache_is_used_and_two_datasets_do_not_meet_in_it(
    make_dataset: DatasetMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSSPADE_CACHE", str(tmp_path / "mine"))
    one, two = (open_packed(make_dataset(tmp_path / name / "d", scenes=3, seed=n)) for n, name in enumerate("ab"))
    assert one.folder.parent.parent == two.folder.parent.parent == tmp_path / "mine"
    assert one.folder.is_dir()
    assert two.folder.is_dir()
    assert not (tmp_path / "a" / "d" / ".packed").exists()


def test_no_folder_to_write_is_one_clear_line(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    (tmp_path / "blocked").write_text("")
    with pytest.raises(OutputError, match=r"expected a folder that can be written, found none\. Set RSSPADE_CACHE"):
        open_packed(data, cache=tmp_path / "blocked")


def test_too_little_space_is_said_before_anything_is_written(
    make_dataset: DatasetMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    data = make_dataset(tmp_path / "d", scenes=3)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("rsspade.data.packing.shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"expected 0\.0 GB of free space for the packed copy"):
        open_packed(data)
    assert copies(data.path / ".packed") == []


def test_a_pickled_copy_carries_no_pixels(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    packed = open_packed(make_dataset(tmp_path / "d", scenes=3))
    content = pickle.dumps(packed)
    assert len(content) < 10_000
    again = pickle.loads(content)
    assert isinstance(again, PackedTiles)
    np.testing.assert_array_equal(again.array("s1"), packed.array("s1"))


def test_two_processes_that_start_together_build_once(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=4, grid=(2, 2))
    code = (
        "import sys, time; import rsspade.data.packed as p; from rsspade.data.manifest import DatasetFolder\n"
        "data = DatasetFolder.open(sys.argv[1]); build = p._build\n"
        "def counted(*a): print('built', flush=True); build(*a); time.sleep(0.5)\n"
        "p._build = counted; print(float(p.open_packed(data).array('s2').sum(dtype='float64')))"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(data.path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate()[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum("built" in lines for lines in outputs) == 1
    assert len({lines[-1] for lines in outputs}) == 1


def test_a_link_in_a_dataset_leads_nothing_elsewhere(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    precious = tmp_path / "elsewhere" / ("0" * 20)
    precious.mkdir(parents=True)
    (data.path / ".packed").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RSSpadeWarning, match="cannot be written"):
        packed = open_packed(data)
    assert packed.folder.is_relative_to(tmp_path / "home-cache")
    assert precious.is_dir()
    assert not (tmp_path / "elsewhere" / "lock").exists()


def test_other_folders_beside_the_copy_are_left_alone(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    (data.path / ".packed" / "mine").mkdir(parents=True)
    (data.path / ".packed" / ("0" * 20)).mkdir()
    packed = open_packed(data)
    assert copies(data.path / ".packed") == sorted([packed.folder, data.path / ".packed" / "mine"])
