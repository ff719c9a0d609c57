"""Noise that belongs to places."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rsspade.models.noise import NoiseField

PLACE = st.integers(-(2**40), 2**40)
SIDE = st.integers(1, 9)


@given(row=PLACE, col=PLACE, height=SIDE, width=SIDE, down=SIDE, right=SIDE, level=st.integers(0, 62))
def test_windows_agree_where_they_overlap(row, col, height, width, down, right, level):
    field = NoiseField(7, name="scene", number=2)
    whole = field.window(level, row, col, height + down, width + right, 5)
    part = field.window(level, row + down, col + right, height, width, 3)
    np.testing.assert_array_equal(part, whole[:3, down:, right:])
    assert (whole.dtype, whole.shape) == (np.float32, (5, height + down, width + right))


def test_it_is_standard_normal_and_neighbours_know_nothing_of_each_other():
    noise = NoiseField(0).window(0, -100, -100, 200, 200, 6)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(noise.reshape(6, -1)) - np.eye(6)).max() < 0.025
    for step in (1, 2, 64, 100):
        assert abs((noise[:, step:] * noise[:, :-step]).mean()) < 0.01
        assert abs((noise[..., step:] * noise[..., :-step]).mean()) < 0.01


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "b"}, {"number": 1}])
def test_every_part_of_its_identity_gives_other_noise(other):
    first, second = ({"seed": 0, "name": "a", "number": 0} | change for change in ({}, other))
    one, two = (NoiseField(**identity).window(3, 0, 0, 64, 64)[0].ravel() for identity in (first, second))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05


def test_levels_have_nothing_in_common():
    field = NoiseField(0)
    one, two = (field.window(level, 0, 0, 64, 64).ravel() for level in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05


def test_the_numbers_are_the_same_on_every_machine_and_for_ever():
    noise = NoiseField(3, name="tile", number=2).window(2, -3, 5, 8, 8, 4)
    assert (
        sha256(noise.astype("<f4").tobytes()).hexdigest()
        == "0286b341c28fa127bfdfc001572f0c9dd49a092b39a1e2c6d64f752d59e67891"
    )
