import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsspade.channels import (
    Scaling,
    channel_names,
    decode,
    encode,
    encode_season,
    encode_sun,
    encode_when,
    num_channels,
    num_when,
)
from rsspade.errors import ConfigError
from rsspade.landcover import SCHEMES, scheme_named

SCALING = Scaling()
seeds = st.integers(0, 2**31 - 1)


def values(source: str, seed: int, size: int = 8) -> torch.Tensor:
    """Random values over the whole range that must survive."""
    g = torch.Generator().manual_seed(seed)

    def band(low: float, high: float) -> torch.Tensor:
        return torch.rand(2, size, size, generator=g) * (high - low) + low

    if source == "s2":
        return torch.stack([band(-0.02, 1.2) for _ in range(4)], dim=1)
    if source == "s1":
        return torch.stack([band(-30, 10), band(-38, 5)], dim=1)
    aspect = torch.where(band(0, 1) < 0.2, -1.0, band(0, 359.9))
    return torch.stack([band(-430, 8848), band(0, 89), aspect, band(0, 255)], dim=1)


@given(seed=seeds)
@settings(max_examples=25)
@pytest.mark.parametrize(("source", "tolerance"), [("s2", 1e-6), ("s1", 1e-5), ("dem", 2e-2)])
def test_decode_inverts_encode_over_the_whole_physical_range(source: str, tolerance: float, seed: int) -> None:
    physical = values(source, seed)
    back = decode(source, encode(source, physical, None, scaling=SCALING), scaling=SCALING)
    difference = (back - physical).abs()
    if source == "dem":  # 359.99° and 0° are neighbours
        difference[:, 2] = torch.minimum(difference[:, 2], 360 - difference[:, 2])
    assert difference.max() <= tolerance


@given(seed=seeds, name=st.sampled_from(sorted(SCHEMES)))
@settings(max_examples=40)
def test_land_cover_ids_come_back_and_strangers_become_unlabelled(seed: int, name: str) -> None:
    scheme = scheme_named(name)
    ids = torch.randint(0, 256, (2, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    channels = encode("lulc", ids, None, scaling=SCALING, scheme=scheme)
    assert channels.shape[1] == len(scheme.classes) + 1
    assert torch.equal(channels.sum(dim=1), torch.ones(2, 8, 8))
    expected = torch.where(torch.isin(ids, torch.tensor(scheme.ids, dtype=torch.uint8)), ids, 255)
    assert torch.equal(decode("lulc", channels, scaling=SCALING, scheme=scheme), expected)


def test_snow_and_dark_water_stay_apart_from_what_is_brighter_and_darker() -> None:
    reflectance = torch.tensor([-0.02, 0.0, 1.19, 1.2, 1.5]).reshape(1, 1, 1, 5)
    channels = encode("s2", reflectance, None, scaling=SCALING)
    assert (channels.diff(dim=-1) > 0.04).all()


def test_a_flat_coast_and_a_mountain_range_both_show() -> None:
    dem = torch.zeros(1, 4, 1, 4)
    dem[0, 0, 0] = torch.tensor([0.0, 10.0, 3000.0, 5000.0])
    dem[:, 2] = -1
    elevation = encode("dem", dem, None, scaling=SCALING)[0, 0, 0]
    assert elevation[1] - elevation[0] > 0.03
    assert elevation[3] - elevation[2] > 0.2
    assert elevation.abs().max() < 3


def test_flat_ground_has_no_direction_and_north_is_one_direction() -> None:
    dem = torch.zeros(1, 4, 1, 3)
    dem[0, 2, 0] = torch.tensor([-1.0, 0.0, 360.0])
    direction = encode("dem", dem, None, scaling=SCALING)[0, 2:4, 0]
    torch.testing.assert_close(direction, torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("source", ["s2", "s1", "dem"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_zero_in_every_channel(source: str, bad: float) -> None:
    physical = values(source, 1)
    physical[0, 1, 2, 3] = bad
    channels = encode(source, physical, None, scaling=SCALING)
    assert torch.isfinite(channels).all()
    assert (channels[0, :, 2, 3] == 0).all()


@pytest.mark.parametrize("source", ["s2", "s1", "dem"])
def test_the_content_of_an_invalid_pixel_does_not_matter(source: str) -> None:
    physical = values(source, 2)
    valid = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.5
    other = torch.where(valid[:, None], physical, 77.0)
    first, second = (encode(source, v, valid, scaling=SCALING) for v in (physical, other))
    assert torch.equal(first, second)
    assert (first.movedim(1, -1)[~valid] == 0).all()


def test_invalid_land_cover_becomes_unknown() -> None:
    scheme = scheme_named("dynamic_world")
    ids = torch.tensor([[0.0, math.nan, 300.0, -3.0]]).reshape(1, 1, 1, 4)
    valid = torch.tensor([[[False, True, True, True]]])
    channels = encode("lulc", ids, valid, scaling=SCALING, scheme=scheme)
    assert (channels[0, -1] == 1).all()


def test_radar_beyond_its_range_is_clipped() -> None:
    radar = torch.tensor([[-50.0, 30.0], [-60.0, 30.0]]).reshape(1, 2, 1, 2)
    assert encode("s1", radar, None, scaling=SCALING)[0, :, 0].tolist() == [[-1, 1], [-1, 1]]


def test_channels_are_counted_and_named_per_source() -> None:
    scheme = scheme_named("dynamic_world")
    assert num_channels("lulc", scheme=scheme) == 10
    assert channel_names("lulc", scheme=scheme)[-1] == "unknown"
    assert channel_names("dem") == ("elevation", "slope", "aspect_sin", "aspect_cos", "hillshade")
    assert num_channels("s2", bands=["red"]) == 1
    assert encode("dem", values("dem", 0), None, scaling=SCALING).shape[1] == num_channels("dem")


def test_a_scaling_survives_being_stored() -> None:
    scaling = Scaling(vv_low=-25.0)
    assert Scaling.from_dict(scaling.to_dict()) == scaling


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optical_scale": 0.0}, "optical_scale: expected a number above 0, found 0.0"),
        ({"optical_centre": math.nan}, "optical_centre: expected a finite number, found nan"),
        ({"vv_low": 20.0}, r"vv_low: expected less than vv_high \(10.0\), found 20.0"),
        ({"slope_scale": "30"}, "slope_scale: expected a finite number, found '30'"),
        ({"gamma": 1.0}, "a difference in gamma"),
    ],
)
def test_an_impossible_scaling_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Scaling.from_dict({**Scaling().to_dict(), **change})


def test_land_cover_without_a_scheme_and_unknown_sources_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a land-cover scheme, found none"):
        num_channels("lulc")
    with pytest.raises(ConfigError, match="found 'cloud'"):
        channel_names("cloud")
    with pytest.raises(ConfigError, match="found 'cloud'"):
        encode("cloud", torch.zeros(1, 1, 2, 2), None, scaling=SCALING)
    with pytest.raises(ValueError, match=r"expected \(B, 2, H, W\), found \(1, 3, 2, 2\)"):
        encode("s1", torch.zeros(1, 3, 2, 2), None, scaling=SCALING)


def test_an_unknown_day_says_nothing_and_new_year_joins_the_old_year() -> None:
    season = encode_season(torch.tensor([math.nan, 1.0, 365.0]))
    assert season[0].tolist() == [0, 0, 0]
    assert season[1:, 2].tolist() == [1, 1]
    assert (season[1] - season[2]).abs().max() < 0.05


def test_the_sun_is_a_unit_vector_and_nothing_where_it_is_unknown() -> None:
    sun = encode_sun(torch.tensor([[0.0, 0.0], [90.0, 0.0], [180.0, 60.0], [math.nan, 60.0], [180.0, math.nan]]))
    assert sun[:3] == pytest.approx(torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1], [0, -0.5, 0.75**0.5, 1]]), abs=1e-6)
    assert sun[3:].tolist() == [[0] * 4] * 2


def test_a_network_is_told_what_it_asks_for_in_one_order() -> None:
    day, sun = torch.tensor([100.0]), torch.tensor([[150.0, 40.0]])
    both = encode_when(("season", "sun"), day_of_year=day, sun=sun)
    assert both is not None
    assert torch.equal(both, torch.cat([encode_season(day), encode_sun(sun)], dim=1))
    assert both.shape[1] == num_when(("season", "sun"))
    assert encode_when((), day_of_year=day, sun=sun) is None


def test_channels_import_without_rasters_or_figures() -> None:
    code = "import sys, rsspade.channels; print([m for m in ('rasterio', 'matplotlib', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
