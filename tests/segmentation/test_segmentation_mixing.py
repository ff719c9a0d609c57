"""Which tiles an epoch shows, and the synthetic sets that are refused."""

import itertools
import warnings
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sets import write_synthetic

from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError
from segmentation.labels import chosen_tiles, nested_subset
from segmentation.mixing import MixedOrder, refuse_synthetic_set


@settings(max_examples=60)
@given(
    num_real=st.integers(1, 12),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    ratio=st.sampled_from([0.02, 0.25, 0.5, 1.0, 2.0, 3.3]),
    seed=st.integers(0, 3),
)
def test_an_epoch_holds_each_real_tile_once_and_synthetic_ones_by_the_ratio(num_real, sizes, ratio, seed):
    starts = np.cumsum([num_real, *sizes])
    families = [range(a, b) for a, b in itertools.pairwise(starts)]
    order = MixedOrder(num_real, families, ratio=ratio, seed=seed)
    order.set_epoch(2)
    draws = order.order()
    assert len(draws) == order.num_draws == num_real + max(round(ratio * num_real), 1)
    counts = Counter(d.tile for d in draws)
    assert all(counts[n] == 1 for n in range(num_real))
    by_parent = [sum(counts[n] for n in family) for family in families]
    assert max(by_parent) - min(by_parent) <= 1
    for family in families:
        assert max(counts[n] for n in family) - min(counts[n] for n in family) <= 1
    assert len({(d.tile, d.repeat) for d in draws}) == len(draws)
    again = MixedOrder(num_real, families, ratio=ratio, seed=seed)
    again.set_epoch(2)
    assert again.order() == draws


def test_each_epoch_draws_other_images_of_the_same_parents():
    order = MixedOrder(6, [range(6 + 4 * n, 10 + 4 * n) for n in range(6)], ratio=1.0, seed=0)
    shown = set()
    for epoch in range(6):
        order.set_epoch(epoch)
        synthetic = [d.tile for d in order.order() if d.tile >= 6]
        assert sorted((n - 6) // 4 for n in synthetic) == list(range(6))
        shown.add(tuple(sorted(synthetic)))
    assert len(shown) == 6


def test_real_tiles_come_in_the_same_order_with_and_without_synthetic_ones():
    plain, mixed = MixedOrder(8, seed=3), MixedOrder(8, [[8], [9]], ratio=2.0, seed=3)
    assert [d.tile for d in plain.order()] == [d.tile for d in mixed.order() if d.tile < 8]


@given(
    num_real=st.integers(1, 9), ratio=st.sampled_from([0.5, 1.0, 2.5]), until=st.integers(0, 60), seed=st.integers(0, 3)
)
def test_after_the_last_synthetic_draw_real_tiles_take_turns(num_real, ratio, until, seed):
    families = [[num_real + n] for n in range(num_real)]
    mixed, cut = (MixedOrder(num_real, families, ratio=ratio, seed=seed, until=u) for u in (None, until))
    rows = []
    for order in (mixed, cut):
        rows.append([])
        for epoch in range(4):
            order.set_epoch(epoch)
            draws = order.order()
            assert len(draws) == order.num_draws
            assert len(set(draws)) == len(draws)
            rows[-1] += draws
    whole, shortened = rows
    assert shortened[:until] == whole[:until]
    assert all(draw.tile < num_real for draw in shortened[until:])
    for epoch in range(4):
        counts = Counter(d.tile for d in shortened if d.epoch == epoch and d.tile < num_real)
        assert max(counts.values()) - min(counts[n] for n in range(num_real)) <= 1


@given(st.integers(1, 60), st.integers(0, 5), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_smaller_share_of_labels_lies_within_a_larger_one(num, seed, one, other):
    names = [f"t{n:03d}" for n in range(num)]
    small, large = (nested_subset(names, share, seed) for share in sorted((one, other)))
    assert set(small) <= set(large)
    assert len(large) == max(round(max(one, other) * num), 1)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 5), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_share_of_scenes_is_whole_scenes_and_lies_within_a_larger_one(sizes, seed, one, other):
    rows = [SimpleNamespace(tile=f"t{s}_{n}", scene=f"s{s}") for s, size in enumerate(sizes) for n in range(size)]
    small, large = (set(chosen_tiles(rows, share, seed, by="scene")) for share in sorted((one, other)))
    assert small
    assert small <= large
    for chosen in (small, large):
        scenes = {rows[n].scene for n in chosen}
        assert chosen == {n for n, row in enumerate(rows) if row.scene in scenes}
    assert abs(len(large) - max(one, other) * len(rows)) <= max(sizes)


def test_half_of_the_labels_by_scene_is_half_of_the_scenes():
    rows = [SimpleNamespace(tile=f"t{n}", scene=f"s{n // 5}") for n in range(40)]
    chosen = chosen_tiles(rows, 0.5, 3, by="scene")
    assert len(chosen) == 20
    assert len({rows[n].scene for n in chosen}) == 4
    assert len({rows[n].scene for n in chosen_tiles(rows, 0.5, 3)}) > 4


def test_a_share_of_labels_does_not_depend_on_the_order_of_the_tiles():
    names = [f"t{n:03d}" for n in range(40)]
    mixed = names[::-1]
    chosen = {names[n] for n in nested_subset(names, 0.3, 1)}
    assert {mixed[n] for n in nested_subset(mixed, 0.3, 1)} == chosen
    assert chosen != {names[n] for n in nested_subset(names, 0.3, 2)}


OTHER = {"parent": {"split_sha256": "f" * 64}, "generator": {"split_sha256": "f" * 64}}


@pytest.mark.parametrize(
    ("change", "info", "expected"),
    [
        (lambda r: replace(r, parent_split="test"), {}, "found one made from a test tile"),
        (lambda r: replace(r, parent_split="val"), {}, "found one made from a val tile"),
        (lambda r: replace(r, parent="nowhere"), {}, "which --data does not hold"),
        (lambda r: replace(r, synthetic=False), {}, "found one that is not synthetic"),
        (lambda r: r, {"made_by": {}}, "none recorded"),
        (lambda r: r, {"made_by": OTHER}, "expected a dataset made on the split of --data"),
        (lambda r: r, {"landcover_scheme": "terramesh"}, "expected the land-cover scheme of --data, dynamic_world"),
        (lambda r: r, {"tile_size": 128}, "expected tiles with the side of --data, 64, found 128"),
    ],
)
def test_a_set_that_leaks_or_does_not_fit_is_refused(dataset, tmp_path, change, info, expected):
    made = write_synthetic(dataset, tmp_path / "made", change=change, **info)
    with pytest.raises(InputError, match=expected):
        refuse_synthetic_set(DatasetFolder.open(dataset), DatasetFolder.open(made))


def test_a_parent_that_is_a_test_tile_is_refused_whatever_the_set_says_of_it(dataset, tmp_path):
    hidden = DatasetFolder.open(dataset).in_split("test")[0].tile
    made = write_synthetic(dataset, tmp_path / "made", change=lambda row: replace(row, parent=hidden))
    with pytest.raises(InputError, match="found one made from a test tile"):
        refuse_synthetic_set(DatasetFolder.open(dataset), DatasetFolder.open(made))


def test_a_generator_that_saw_another_split_is_refused(dataset, tmp_path):
    sha = DatasetFolder.open(dataset).info.split["sha256"]
    made_by = {"parent": {"split_sha256": sha}, "generator": {"split_sha256": "f" * 64}}
    made = write_synthetic(dataset, tmp_path / "made", made_by=made_by)
    with pytest.raises(InputError, match="images by a generator trained on the split of --data"):
        refuse_synthetic_set(DatasetFolder.open(dataset), DatasetFolder.open(made))


@pytest.mark.parametrize(("ours", "warned"), [(True, 0), (False, 1)])
def test_a_generator_that_began_with_weights_of_another_split_is_warned_of(dataset, tmp_path, ours, warned):
    sha = DatasetFolder.open(dataset).info.split["sha256"]
    first = {"dataset": "elsewhere", "split_sha256": sha if ours else "f" * 64}
    between = {"dataset": "here", "split_sha256": sha, "begun_with": first}
    made_by = {"parent": {"split_sha256": sha}, "generator": {"split_sha256": sha, "begun_with": between}}
    made = write_synthetic(dataset, tmp_path / "made", made_by=made_by)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refuse_synthetic_set(DatasetFolder.open(dataset), DatasetFolder.open(made))
    assert [("elsewhere" in str(entry.message)) for entry in caught] == [True] * warned


def test_other_bands_are_refused(dataset, tmp_path):
    folder = DatasetFolder.open(dataset)
    sources = {**folder.info.sources, "S2": {**folder.info.sources["S2"], "bands": ["red", "green", "blue", "nir"]}}
    made = write_synthetic(dataset, tmp_path / "made", sources=sources)
    with pytest.raises(InputError, match="found red, green, blue, nir"):
        refuse_synthetic_set(folder, DatasetFolder.open(made))
