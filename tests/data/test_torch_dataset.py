import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, default_collate

from rsspade.data.augment import Augmentation, Move, move_pixels, turn_compass
from rsspade.data.collate import collate_samples
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.data.sampling import Draw, TileSampler
from rsspade.data.torch_dataset import Sample, TileDataset, day_of_year
from rsspade.errors import InputError
from rsspade.geo.terrain import terrain_derivatives

DatasetMaker = Callable[..., DatasetFolder]
ALL_MOVES = [Move(flip, turns) for flip in (False, True) for turns in range(4)]


@pytest.fixture(scope="module")
def data(make_dataset: DatasetMaker, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return make_dataset(tmp_path_factory.mktemp("data") / "d", scenes=4)


def rewrite(data: DatasetFolder, name: str, tile: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    import rasterio

    path = data.tile_path(name, tile)
    with rasterio.open(path) as src:
        crs, transform = src.crs, src.transform
    write_tile(path, change(data.read(name, tile)), data.source(name), crs=crs, transform=transform)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(torch.nan_to_num(a, nan=-7), torch.nan_to_num(b, nan=-7))


def test_a_whole_tile_comes_as_it_is_stored(data: DatasetFolder) -> None:
    dataset = TileDataset(data, split=None)
    assert len(dataset) == 8
    for index, row in enumerate(dataset.rows):
        sample = dataset[index]
        np.testing.assert_array_equal(sample.optical.numpy(), data.read("s2", row.tile))
        for name in ("s1", "lulc", "dem"):
            np.testing.assert_array_equal(sample.sources[name].numpy(), data.read(name, row.tile))
            assert sample.valid[name].all()
        assert sample.present.tolist() == [True, True, True]
        assert sample.tile == index


def test_a_split_holds_its_own_tiles_only(data: DatasetFolder) -> None:
    tiles = {s: {r.tile for r in TileDataset(data, split=s).rows} for s in ("train", "val", "test")}
    assert tiles == {s: {r.tile for r in data.in_split(s)} for s in tiles}
    assert TileDataset(data, split="val").statistics == data.info.statistics  # of train, whatever is read


@given(draw=st.builds(Draw, st.integers(0, 7), st.integers(0, 50), st.integers(0, 3)), size=st.integers(1, 64))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_moved_crop_holds_the_same_pairs_of_pixel_values(data: DatasetFolder, draw: Draw, size: int) -> None:
    dataset = TileDataset(data, split=None, crop_size=size, augmentation=Augmentation())
    sample = dataset[draw]
    assert sample.optical.shape == (4, size, size)
    tile = dataset.rows[draw.tile].tile
    # Each optical value of the made-up land is unique enough to find the pixel it came from.
    stored = np.concatenate([data.read(n, tile).astype(np.float32) for n in ("s2", "s1", "lulc", "dem")])
    got = torch.cat([sample.optical, *(sample.sources[n].float() for n in ("s1", "lulc", "dem"))]).numpy()
    where = {
        column.tobytes(): place for place, column in zip(np.ndindex(64, 64), stored.reshape(11, -1).T, strict=True)
    }
    columns = np.ascontiguousarray(got.reshape(11, -1).T)
    places = np.array([where[column.tobytes()] for column in columns])  # KeyError: a pair that is not in the tile
    assert len({tuple(p) for p in places}) == size * size
    assert (np.ptp(places, axis=0) == size - 1).all()  # one whole square of the tile


@pytest.mark.parametrize("move", ALL_MOVES)
def test_every_move_can_be_undone_and_no_two_are_alike(move: Move) -> None:
    image = np.arange(2 * 9, dtype=np.float32).reshape(2, 3, 3)
    back = np.rot90(move_pixels(image, move), -move.quarter_turns, axes=(-2, -1))
    np.testing.assert_array_equal(back[..., ::-1] if move.flip else back, image)
    others = [m for m in ALL_MOVES if np.array_equal(move_pixels(image, m), move_pixels(image, move))]
    assert others == [move]


def test_crops_reach_every_corner_and_all_eight_moves_are_drawn(data: DatasetFolder) -> None:
    dataset = TileDataset(data, split=None, crop_size=62, augmentation=Augmentation())
    places = [dataset._place(0, Draw(0, 0, n)) for n in range(300)]
    assert {(r, c) for r, c, _ in places} == {(r, c) for r in range(3) for c in range(3)}
    assert {m for _, _, m in places} == set(ALL_MOVES)


FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of torch's own threads


@FORKS
@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_loader_workers_changes_nothing(data: DatasetFolder, workers: int) -> None:
    dataset = TileDataset(data, split=None, crop_size=32, augmentation=Augmentation(), seed=5)
    sampler = TileSampler(len(dataset), seed=5)

    def batches(num_workers: int) -> list[Sample]:
        torch.manual_seed(num_workers)  # what a process draws for itself must not matter
        sampler.set_epoch(1)
        return list(DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=num_workers))

    alone, helped = batches(0), batches(workers)
    assert len(alone) == 3
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))


@FORKS
def test_workers_that_outlive_an_epoch_follow_it(data: DatasetFolder) -> None:
    dataset = TileDataset(data, split=None, crop_size=16, augmentation=Augmentation())
    loader = DataLoader(dataset, batch_size=8, num_workers=1, persistent_workers=True)
    for epoch in (0, 1, 2):
        dataset.set_epoch(epoch)
        (batch,) = loader
        expected = torch.stack([dataset[Draw(i, epoch)].optical for i in range(8)])
        assert torch.equal(batch.optical, expected)


def test_seed_epoch_and_repeat_each_give_another_crop(data: DatasetFolder) -> None:
    def crop(seed: int, epoch: int, repeat: int) -> torch.Tensor:
        return TileDataset(data, split=None, crop_size=16, seed=seed)[Draw(0, epoch, repeat)].optical

    first = crop(0, 0, 0)
    assert torch.equal(first, crop(0, 0, 0))
    for other in (crop(1, 0, 0), crop(0, 1, 0), crop(0, 0, 1)):
        assert not torch.equal(first, other)


def test_without_random_crops_the_middle_is_taken(data: DatasetFolder) -> None:
    sample = TileDataset(data, split=None, crop_size=20, random_crops=False)[3]
    np.testing.assert_array_equal(sample.optical.numpy(), data.read("s2", "s1_0_1")[:, 22:42, 22:42])


def test_an_absent_source_is_zeros_that_are_marked(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", missing=[("S1", "s0_0_0"), ("LULC", "s0_0_0"), ("DEM", "s0_0_1")])
    dataset = TileDataset(data, split=None, crop_size=32)
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch.present.tolist() == [[False, False, True], [True, True, False], [True, True, True]]
    assert batch.sources["s1"].shape == (3, 2, 32, 32)
    assert batch.sources["lulc"].dtype == torch.uint8
    assert (batch.sources["s1"][0] == 0).all()
    assert (batch.sources["lulc"][0] == 255).all()
    assert (batch.sources["dem"][1] == 0).all()
    assert not batch.valid["s1"][0].any()
    assert batch.valid["s1"][1:].all()


def test_only_the_sources_asked_for_are_read(data: DatasetFolder) -> None:
    sample = TileDataset(data, sources=("lulc", "s1"))[0]
    assert list(sample.sources) == ["s1", "lulc"]
    assert sample.present.shape == (2,)


def test_no_nan_leaves_the_dataset(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)

    def hole(values: np.ndarray) -> np.ndarray:
        values[0, :10, :10] = np.nan  # one band is enough: the pixel cannot be used
        return values

    for name in ("s2", "s1", "dem"):
        rewrite(data, name, "s0_0_0", hole)
    sample = TileDataset(data, split=None)[0]
    for values, valid in [
        (sample.optical, sample.optical_valid),
        *((sample.sources[n], sample.valid[n]) for n in ("s1", "dem")),
    ]:
        assert torch.isfinite(values).all()
        assert valid.sum() == 64 * 64 - 100
        assert not valid[:10, :10].any()


def test_cloud_and_shadow_are_not_learnt_from(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, clouds=True)
    for row in data.rows:
        data.tile_path("s2_cloudy", row.tile).unlink()
    mask = np.repeat(np.arange(4, dtype=np.uint8), 16)[None, :, None] * np.ones((1, 1, 64), np.uint8)
    rewrite(data, "cloud", "s0_0_0", lambda _: np.where(mask == 3, 255, mask))
    sample = TileDataset(data, split=None)[0]
    assert sample.optical_valid[:, 0].tolist() == [True] * 16 + [False] * 32 + [True] * 16


def test_where_the_clouded_image_is_stored_apart_the_clear_one_is_whole(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, clouds=True)
    sample = TileDataset(data, split=None, with_cloudy=True, crop_size=48)[2]
    assert sample.optical_valid.all()
    covered = sample.cloudy["mask"] == 1
    assert covered.any()
    assert torch.equal(sample.cloudy["image"][:, ~covered], sample.optical[:, ~covered])
    assert (sample.cloudy["image"][:, covered] == 0.7).all()
    assert sample.cloudy["present"]
    assert TileDataset(data)[0].cloudy == {}


def test_the_day_of_the_year_comes_with_the_sample(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, dates=("", "2024-12-31"))
    assert TileDataset(data)[0].day_of_year == 366
    assert math.isnan(day_of_year(""))
    assert math.isnan(day_of_year("last summer"))


def test_tiles_without_a_clear_pixel_are_left_out_unless_they_shall_be_made(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, missing=[("S2", "s0_0_0")])
    rewrite(data, "s2", "s0_0_1", lambda v: v * np.nan)
    assert [r.tile for r in TileDataset(data, split=None).rows][:1] == ["s1_0_0"]
    everything = TileDataset(data, split=None, need_optical=False)
    assert len(everything) == 6
    assert not everything[0].optical_valid.any()
    assert (everything[0].optical == 0).all()


def test_a_dataset_without_optical_images_can_be_read_for_synthesis(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, sources=("S1", "DEM"))
    sample = TileDataset(data, sources=("s1", "dem"), need_optical=False)[0]
    assert sample.optical.shape == (4, 64, 64)
    with pytest.raises(InputError, match="expected at least one clear optical tile"):
        TileDataset(data, sources=("s1", "dem"))


def test_a_source_that_the_dataset_lacks_is_refused_with_those_it_has(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, sources=("S2", "S1"))
    with pytest.raises(InputError, match=r"expected a dataset with the source lulc, found s1\. Choose with --sources"):
        TileDataset(data, sources=("s1", "lulc"))


def test_tiles_that_hold_none_of_the_sources_are_left_out_where_that_is_asked(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    lost = [("S1", "s0_0_0"), ("DEM", "s0_0_0"), ("S1", "s1_0_1")]
    data = make_dataset(tmp_path / "d", scenes=3, missing=lost)
    every = TileDataset(data, split=None)
    assert (len(every), every.without_sources, every.holding(["s1"]).sum()) == (6, 0, 4)
    some = TileDataset(data, split=None, one_of=("s1", "dem"))
    assert (len(some), some.without_sources) == (5, 1)
    assert [row.tile for row in some.rows] == [row.tile for row in every.rows][1:]
    one, other = some[0], every[1]
    assert torch.equal(one.optical, other.optical)
    assert one.tile == 0


def test_an_empty_split_and_a_split_without_clear_images_are_refused(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "d", scenes=3)
    for row in data.in_split("train"):
        rewrite(data, "s2", row.tile, lambda v: v * np.nan)
    with pytest.raises(
        InputError, match=r"expected at least one clear optical tile \(S2\) in the split train, found none"
    ):
        TileDataset(data)
    only_train = DatasetFolder(data.path, data.info, data.in_split("train"))
    with pytest.raises(InputError, match="expected tiles in the split val, found none"):
        TileDataset(only_train, split="val")
    with pytest.raises(InputError, match="expected one of train, val, test, found 'training'"):
        TileDataset(data, split="training")


@pytest.mark.parametrize("crop_size", [0, 65])
def test_a_crop_that_does_not_fit_is_refused(data: DatasetFolder, crop_size: int) -> None:
    with pytest.raises(InputError, match=f"expected a crop of 1 to 64 pixels, the size of a tile, found {crop_size}"):
        TileDataset(data, crop_size=crop_size)


@pytest.mark.parametrize("move", ALL_MOVES)
def test_turning_the_compass_is_what_moved_ground_would_show(move: Move) -> None:
    rows, columns = np.mgrid[:24, :24]
    ground = 30 * np.sin(rows / 5) + 20 * np.cos(columns / 7) + columns
    ground[:8, :8] = 12  # flat
    moved = turn_compass(move_pixels(terrain_derivatives(ground, 10.0), move), move)
    truth = terrain_derivatives(move_pixels(ground, move), 10.0)
    inside = np.s_[:, 1:-1, 1:-1]
    difference = np.abs(moved - truth)[inside]
    difference[2] = np.minimum(difference[2], 360 - difference[2])
    assert difference.max() < 0.02


def test_by_default_directions_keep_their_values_and_the_option_turns_them(data: DatasetFolder) -> None:
    plain, kept, turned = (
        TileDataset(data, split=None, augmentation=a)
        for a in (None, Augmentation(), Augmentation(turn_directions=True))
    )
    draw = next(d for n in range(99) if kept._place(0, d := Draw(0, 0, n))[2].quarter_turns == 1)
    aspects = [d[draw].sources["dem"][2].flatten().sort().values for d in (plain, kept, turned)]
    assert torch.equal(aspects[0], aspects[1])
    assert not torch.equal(aspects[0], aspects[2])
    assert torch.equal(kept[draw].optical, turned[draw].optical)


def test_the_sun_turns_with_the_directions_and_only_with_them(data: DatasetFolder) -> None:
    kept, turned = (
        TileDataset(data, split=None, with_sun=True, augmentation=Augmentation(turn_directions=turn))
        for turn in (False, True)
    )
    place = data.sun(kept.rows[0].tile)
    for draw in (Draw(0, 0, n) for n in range(9)):
        move = kept._place(0, draw)[2]
        azimuth = (-place[0] if move.flip else place[0]) - 90 * move.quarter_turns
        assert kept[draw].sun.tolist() == pytest.approx(place, abs=1e-4)
        assert turned[draw].sun.tolist() == pytest.approx((azimuth % 360, place[1]), abs=1e-4)


def test_where_the_sun_stood_is_found_out_where_it_is_asked_for(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", scenes=3, dates=("", "2024-06-21"))
    azimuth, elevation = TileDataset(data, split=None, with_sun=True)[0].sun.tolist()
    assert 140 < azimuth < 165  # north of the equator, before noon, in midsummer
    assert 58 < elevation < 66
    assert TileDataset(data)[0].sun.isnan().all()
    undated = make_dataset(tmp_path / "undated", scenes=3, dates=("", ""))
    assert TileDataset(undated, split=None, with_sun=True)[0].sun.isnan().all()


def test_a_tile_that_is_not_there_ends_a_loop(data: DatasetFolder) -> None:
    dataset = TileDataset(data)
    assert len([s for s in dataset]) == len(dataset)  # noqa: C416 (the loop is what is tested)
    with pytest.raises(IndexError, match="tile 99 of"):
        dataset[99]


def test_both_ways_of_collating_give_the_same_batch(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    dataset = TileDataset(make_dataset(tmp_path / "d", clouds=True), split=None, crop_size=16, with_cloudy=True)
    samples = [dataset[n] for n in range(3)]
    assert same(collate_samples(samples), default_collate(samples))
    assert isinstance(collate_samples(samples), Sample)
    assert collate_samples(samples).optical.shape == (3, 4, 16, 16)
