"""Tiles that cover a scene and blend without a trace."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsspade.errors import InputError
from rsspade.synthesis.blending import axis_weights, blend_tiles
from rsspade.synthesis.tiles import check_tiling, plan_tiles

PLANS = st.builds(
    lambda height, width, tile, share, depth, shift: plan_tiles(
        height, width, tile=tile, overlap=int(share * tile), multiple=2**depth, shift=shift
    ),
    st.integers(10, 400), st.integers(10, 400), st.integers(64, 150), st.floats(0, 0.75), st.integers(0, 6),
    st.tuples(st.integers(0, 64), st.integers(0, 64)),
)  # fmt: skip


@given(PLANS)
def test_weights_sum_to_one_at_every_pixel_and_are_never_negative(plan):
    for length, starts, side in (
        (plan.height, plan.rows, plan.tile_height),
        (plan.width, plan.columns, plan.tile_width),
    ):
        weights = axis_weights(length, starts, side, plan.overlap)
        total = np.zeros(starts[-1] + side)
        for start, weight in zip(starts, weights, strict=True):
            total[start : start + side] += weight
        np.testing.assert_allclose(total[:length], 1, atol=1e-12)
        assert (weights >= 0).all()


@given(PLANS)
@settings(max_examples=20)
def test_what_does_not_depend_on_tiles_is_given_back(plan):
    rows, columns = np.mgrid[: plan.height + 200, : plan.width + 200]
    picture = np.stack([rows * 0.01, np.sin(columns * rows)]).astype(np.float32)

    def predict(tile):
        return picture[:, tile.row : tile.row + tile.height, tile.column : tile.column + tile.width]

    strips = list(blend_tiles(plan, predict, 2))
    assert [strip.row for strip in strips] == list(plan.rows)
    np.testing.assert_allclose(
        np.concatenate([s.values for s in strips], axis=1), picture[:, : plan.height, : plan.width], atol=1e-5
    )


@pytest.mark.parametrize(("tile", "overlap", "multiple"), [(256, 64, 32), (256, 60, 32), (100, 30, 32), (64, 63, 256)])
def test_tiles_share_at_least_the_overlap_and_lie_on_the_lattice(tile, overlap, multiple):
    plan = plan_tiles(1000, 700, tile=tile, overlap=overlap, multiple=multiple)
    steps = np.diff(plan.columns)
    assert steps.max() <= tile - overlap
    if multiple <= tile - overlap:
        assert not np.any(np.array(plan.rows) % multiple)
        assert steps[0] == (tile - overlap) // multiple * multiple
    assert plan.columns[-1] + tile >= 700
    assert plan.rows[-1] < 1000 - tile + multiple


def test_the_step_is_the_tile_less_the_overlap():
    assert plan_tiles(640, 640, tile=256, overlap=64, multiple=32).rows == (0, 192, 384)


def test_the_border_of_a_tile_inside_the_scene_weighs_nothing():
    first, second, last = axis_weights(640, (0, 192, 384), 256, 64)
    assert first[0] == last[-1] == 1  # the scene's own ends
    assert first[-16:].max() == second[:16].max() == second[-16:].max() == last[:16].max() == 0


@pytest.mark.parametrize("kept", range(5))
def test_rows_that_are_made_again_are_the_same(kept):
    plan = plan_tiles(300, 200, tile=96, overlap=60, multiple=4)
    rng = np.random.default_rng(0)
    made = {}

    def predict(tile):  # what a tile shows depends on the tile
        return made.setdefault((tile.row, tile.column), rng.random((1, tile.height, tile.width), np.float32))

    whole = np.concatenate([s.values for s in blend_tiles(plan, predict, 1)], axis=1)
    first = plan.rows[kept]
    rest = np.concatenate([s.values for s in blend_tiles(plan, predict, 1, first_row=first)], axis=1)
    assert np.array_equal(whole[:, first:], rest)


def test_tiles_without_anything_leave_zeros():
    plan = plan_tiles(128, 300, tile=64, overlap=16)
    strips = blend_tiles(plan, lambda tile: np.ones((1, 64, 64)) if tile.column > 150 else None, 1)
    image = np.concatenate([s.values for s in strips], axis=1)
    assert image[0, :, :150].max() == 0
    np.testing.assert_allclose(image[0, :, 220:], 1, atol=1e-6)


@pytest.mark.parametrize(
    ("tile", "overlap", "where"), [(63, 16, "--tile"), (64, 64, "--overlap"), (64, -1, "--overlap")]
)
def test_impossible_tilings_are_refused(tile, overlap, where):
    with pytest.raises(InputError, match=where):
        check_tiling(tile, overlap)
