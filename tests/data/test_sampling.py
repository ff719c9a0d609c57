from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsspade.data.manifest import DatasetFolder
from rsspade.data.packed import PackedTiles, open_packed
from rsspade.data.sampling import Draw, TileSampler, tile_weights
from rsspade.errors import ConfigError, InputError

DatasetMaker = Callable[..., DatasetFolder]


@given(tiles=st.integers(1, 60), seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_without_weights_an_epoch_draws_every_tile_once(tiles: int, seed: int, epoch: int) -> None:
    sampler = TileSampler(tiles, seed=seed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == [Draw(i, epoch, 0) for i in range(tiles)]


@given(tiles=st.integers(1, 40), start=st.integers(0, 40), weighted=st.booleans())
def test_resuming_in_the_middle_of_an_epoch_gives_the_rest_of_it(tiles: int, start: int, weighted: bool) -> None:
    start = min(start, tiles)
    weights = np.arange(1, tiles + 1) if weighted else None
    whole, rest = (TileSampler(tiles, seed=3, weights=weights) for _ in range(2))
    whole.set_epoch(2)
    rest.set_epoch(2, start=start)
    assert list(rest) == list(whole)[start:]
    assert len(rest) == tiles - start


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = TileSampler(50, seed=seed)
        sampler.set_epoch(epoch)
        return [draw.tile for draw in sampler]

    assert order(0, 0) != order(0, 1)
    assert order(0, 1) != order(1, 0)


def test_weights_decide_how_often_a_tile_comes_and_each_time_is_told_apart() -> None:
    sampler = TileSampler(4, seed=0, weights=[0, 1, 2, 5], num_draws=8000)
    draws = list(sampler)
    counts = np.bincount([d.tile for d in draws], minlength=4)
    np.testing.assert_allclose(counts / 8000, [0, 1 / 8, 2 / 8, 5 / 8], atol=0.02)
    assert len(set(draws)) == 8000


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [1, np.nan], [1]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weights: expected 2 finite numbers"):
        TileSampler(2, seed=0, weights=weights)


def test_more_draws_than_tiles_need_weights_and_a_foreign_position_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most 2, each tile once, found 3"):
        TileSampler(2, seed=0, num_draws=3)
    with pytest.raises(ConfigError, match="position: expected 0 to 2, found 7"):
        TileSampler(2, seed=0).set_epoch(0, start=7)


@pytest.fixture
def packed(make_dataset: DatasetMaker, tmp_path: Path) -> PackedTiles:
    return open_packed(make_dataset(tmp_path / "d", scenes=3))


def with_contents(packed: PackedTiles, counts: list[list[int]], clear: list[float]) -> PackedTiles:
    packed.class_counts = np.array(counts)
    packed.clear_share = np.array(clear, np.float32)
    return packed


def test_a_rare_class_weighs_more_and_clouds_weigh_less(packed: PackedTiles) -> None:
    common, rare, none = [100, 0, 0], [50, 50, 0], [0, 0, 100]
    with_contents(packed, [common, common, rare, none, common], [1, 0.5, 1, 1, 0])
    weights = tile_weights(packed, range(5))
    assert weights[2] > weights[0]
    assert weights[1] == pytest.approx(weights[0] / 2)
    assert weights[4] == 0
    assert weights[3] == 1  # nothing labelled: neither favoured nor punished


def test_a_single_strange_tile_cannot_take_over(packed: PackedTiles) -> None:
    counts = [[10_000, 0, 0]] * 500 + [[0, 1, 0]]
    with_contents(packed, counts, [1.0] * 501)
    weights = tile_weights(packed, range(501), rare_classes=1.0)
    assert weights[-1] == 10
    assert (weights[:-1] == 1).all()


def test_only_the_tiles_asked_for_count(packed: PackedTiles) -> None:
    with_contents(packed, [[100, 0, 0], [0, 100, 0], [100, 0, 0]], [1, 1, 1])
    assert tile_weights(packed, [0, 2]).tolist() == [1, 1]  # the class of the tile left out is not rare here


def test_no_clear_tile_at_all_is_refused(packed: PackedTiles) -> None:
    with_contents(packed, [[1, 0]] * 2, [0, 0])
    with pytest.raises(InputError, match="expected at least one clear optical tile, found none"):
        tile_weights(packed, range(2))
