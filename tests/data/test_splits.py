"""Splits leak nothing, whatever the scenes look like."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform_bounds

from rsspade.data.manifest import SPLITS, TileRow, split_sha256
from rsspade.data.splits import assign_splits, group_scenes, overlap, parse_ratio, tile_bounds
from rsspade.errors import InputError, RSSpadeWarning

SIZE_M = 640.0


def tile(scene: str, row: int, column: int, *, west: float = 500_000.0, step: float = SIZE_M, crs: str = "EPSG:32632"):
    return TileRow(
        tile=f"{scene}_r{row:03d}_c{column:03d}", scene=scene, split="train", crs=crs, x_min=west + column * step,
        y_max=5_400_000.0 - row * step, valid_fraction=1.0,
    )  # fmt: skip


def grid_of(scene: str, rows: int, columns: int, **place):
    return [tile(scene, r, c, **place) for r in range(rows) for c in range(columns)]


def quietly(rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RSSpadeWarning)
        return assign_splits(rows, size_m=SIZE_M, **options)[0]


@given(
    scenes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=8),
    stride=st.sampled_from([1.0, 0.5, 0.3]),
    mode=st.sampled_from(["scene", "block"]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_no_pixel_belongs_to_two_splits(scenes, stride, mode, seed):
    rows = [
        t
        for n, (height, width, place) in enumerate(scenes)
        for t in grid_of(f"s{n}", height, width, west=400_000 + 1_000 * place, step=SIZE_M * stride)
    ]
    split = quietly(rows, mode=mode, seed=seed)
    kept = [r for r in rows if r.tile in split]
    boxes = np.array([tile_bounds(r, SIZE_M) for r in kept])
    labels = np.array([split[r.tile] for r in kept])
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        for a in boxes[labels == one]:
            assert not any(overlap(tuple(a), tuple(b)) for b in boxes[labels == other])


@given(height=st.integers(1, 24), width=st.integers(1, 24), seed=st.integers(0, 3), stride=st.sampled_from([1.0, 0.5]))
@settings(max_examples=60)
def test_blocks_of_one_scene_keep_a_gap_of_a_tile(height, width, seed, stride):
    rows = grid_of("s", height, width, step=SIZE_M * stride)
    split = quietly(rows, seed=seed)
    boxes = {s: np.array([tile_bounds(r, SIZE_M) for r in rows if split.get(r.tile) == s]) for s in SPLITS}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        for a in boxes[one]:
            for b in boxes[other]:
                apart = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
                assert apart >= SIZE_M * 0.999
    if max(height, width) * stride >= 6:  # three blocks and two gaps fit
        assert all(len(boxes[s]) for s in SPLITS)
    shares = [len(boxes[s]) / max(1, len(split)) for s in SPLITS]
    if max(height, width) >= 20 and stride == 1:
        assert np.abs(np.array(shares) - (0.7, 0.2, 0.1)).max() < 0.12


def test_too_few_tiles_for_blocks_become_train_with_a_warning():
    with pytest.warns(RSSpadeWarning, match="too few for three blocks"):
        split, rule = assign_splits(grid_of("s", 3, 3), size_m=SIZE_M)
    assert set(split.values()) == {"train"}
    assert "too few" in rule


@pytest.mark.parametrize(("count", "expected"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (10, (7, 2, 1)), (24, (17, 5, 2))])
def test_whole_scenes_are_shared_out_by_largest_remainder(count, expected):
    rows = [tile(f"s{n:02d}", 0, c, west=400_000 + 20_000 * n) for n in range(count) for c in range(2)]
    split = quietly(rows)
    by_scene = {r.scene: {split[x.tile] for x in rows if x.scene == r.scene} for r in rows}
    assert all(len(s) == 1 for s in by_scene.values())
    labels = [s.pop() for s in by_scene.values()]
    assert tuple(labels.count(s) for s in SPLITS) == expected


def test_two_scenes_fill_two_splits_and_say_so():
    rows = grid_of("a", 1, 2) + grid_of("b", 1, 2, west=700_000.0)
    with pytest.warns(RSSpadeWarning, match="test stays empty"):
        split, _ = assign_splits(rows, size_m=SIZE_M)
    assert set(split.values()) == {"train", "val"}


def test_scenes_that_overlap_on_the_ground_count_as_one_even_across_zones():
    here = grid_of("june", 4, 4)
    again = grid_of("july", 4, 4, west=500_300.0)
    west, _, _, north = transform_bounds("EPSG:32632", "EPSG:32631", 500_000, 5_397_440, 502_560, 5_400_000)
    other_zone = [replace(t, x_min=west, y_max=north) for t in grid_of("zone31", 1, 1, crs="EPSG:32631")]
    far = grid_of("elsewhere", 4, 4, west=700_000.0)
    assert group_scenes(here + again + far + other_zone, SIZE_M) == [["elsewhere"], ["july", "june", "zone31"]]
    split = quietly(here + again + far + other_zone)
    assert len({split[t.tile] for t in here + again + other_zone}) == 1


def test_random_tiles_warn_of_the_leak():
    with pytest.warns(RSSpadeWarning, match="too good to be true"):
        split, rule = assign_splits(grid_of("s", 10, 10), size_m=SIZE_M, mode="random")
    assert [list(split.values()).count(s) for s in SPLITS] == [70, 20, 10]
    assert "leak" in rule


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_tiles():
    rows = [t for n in range(12) for t in grid_of(f"s{n}", 1, 2, west=300_000 + 20_000 * n)]
    assert quietly(rows, seed=1) == quietly(rows[::-1], seed=1)
    assert quietly(rows, seed=1) != quietly(rows, seed=2)


def test_one_wanted_split_takes_all_tiles():
    split, _ = assign_splits(grid_of("s", 2, 2), size_m=SIZE_M, ratio=parse_ratio("0:0:1"))
    assert set(split.values()) == {"test"}


def test_the_hash_is_that_of_the_sorted_lines():
    rows = grid_of("s", 1, 2)
    assert split_sha256(rows) == split_sha256(rows[::-1])
    # printf 's_r000_c000,train\ns_r000_c001,train' | sha256sum
    assert split_sha256(rows) == "030d93e518bd34a844171334f0d77529cde7e66cbf50bbeaacb0238eb01623c5"


@pytest.mark.parametrize("text", ["7:2", "a:b:c", "-1:1:1", "0:0:0", "inf:1:1", ""])
def test_a_bad_ratio_is_refused(text):
    with pytest.raises(InputError, match="7:2:1"):
        parse_ratio(text)


def test_scenes_on_both_sides_of_the_antimeridian_count_as_one_where_they_overlap():
    """17° south, 180° east lies at 819 452 m in zone 60 and at 180 548 m in zone 1."""
    zones = {
        "crosses": ("EPSG:32760", 817_500.0),
        "east": ("EPSG:32701", 181_000.0),  # begins at -179.996°
        "west": ("EPSG:32760", 816_000.0),  # ends at 179.99°
        "far": ("EPSG:32760", 760_000.0),
    }
    rows = [
        replace(t, y_max=8_118_000 - SIZE_M * int(t.tile[-8:-5]))
        for name, (crs, west) in zones.items()
        for t in grid_of(name, 4, 4, west=west, crs=crs)
    ]
    assert group_scenes(rows, SIZE_M) == [["crosses", "east", "west"], ["far"]]
    assert group_scenes([r for r in rows if r.scene != "crosses"], SIZE_M) == [["east"], ["far"], ["west"]]


@pytest.mark.timeout(60)
def test_many_tiles_that_end_everywhere_are_split_in_good_time():
    rng = np.random.default_rng(0)
    rows = [
        replace(tile("a", 0, 0), tile=f"t{n}", x_min=500_000 + x, y_max=5_400_000 - y)
        for n, (x, y) in enumerate(rng.uniform(0, 100_000, (4000, 2)))
    ]
    split = quietly(rows)
    shares = [sum(s == name for s in split.values()) / len(rows) for name in SPLITS]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
