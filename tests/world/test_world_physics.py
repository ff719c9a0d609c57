"""What makes the world a world: every source knows something of its own, and light, water and relief agree."""

import numpy as np
import pytest
from scipy import ndimage

from rsspade.world.conditions import MAX_SCENES, place_of, scene_conditions
from rsspade.world.landcover import LandCover
from rsspade.world.noise import Fields, hash_unit
from rsspade.world.optics import sunlight
from rsspade.world.radar import incidence
from rsspade.world.scene import HALO, Scene, SceneSpec, make_scene
from rsspade.world.variants import LANDSCAPES

KINDS = list(LANDSCAPES)
SPRING = 12
"""A plain in May, when cereals are green."""


def made(kind: str, *, size: int = 192, seed: int = 0, variant: str = "a", clouds: float = 0.0) -> Scene:
    return make_scene(SceneSpec(seed=seed, variant=variant, index=KINDS.index(kind), size=size, clouds=clouds))


@pytest.fixture(scope="module")
def spring() -> Scene:
    return make_scene(SceneSpec(seed=0, variant="a", index=SPRING, size=256))


@pytest.fixture(scope="module")
def plain() -> Scene:
    return made("plain", size=256)


@pytest.fixture(scope="module")
def mountains() -> Scene:
    return made("mountains")


def inner(field: np.ndarray) -> np.ndarray:
    return field[HALO:-HALO, HALO:-HALO]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_within_cropland_radar_tells_something_of_nir_that_the_class_does_not(spring: Scene) -> None:
    crops = spring.images["lulc"][0] == LandCover.CROPS
    # Beyond speckle: radar and optics, both averaged over some 50 m.
    vv, nir = (ndimage.gaussian_filter(x, 2.0) for x in (spring.images["s1"][0], spring.images["s2"][3]))
    assert crops.sum() > 5000
    assert abs(correlation(vv[crops], nir[crops])) > 0.4


def test_upright_crops_dim_vv_as_they_grow_and_broad_leaves_brighten_it(spring: Scene) -> None:
    hidden = spring.hidden
    crops = (inner(spring.cover.ids) == LandCover.CROPS) & (spring.images["lulc"][0] == LandCover.CROPS)
    upright = inner(hidden.stem) > 0.5
    vv, green = spring.images["s1"][0], inner(hidden.green)
    assert correlation(vv[crops & upright], green[crops & upright]) < -0.3
    assert correlation(vv[crops & ~upright], green[crops & ~upright]) > 0.03


def test_greener_places_are_brighter_in_nir_and_darker_in_red(plain: Scene) -> None:
    crops = inner(plain.cover.ids) == LandCover.CROPS
    green = inner(plain.hidden.green)[crops]
    assert correlation(plain.images["s2"][3][crops], green) > 0.8
    assert correlation(plain.images["s2"][2][crops], green) < -0.8


def test_slopes_that_face_the_sun_are_brighter_than_those_that_face_away(mountains: Scene) -> None:
    azimuth = np.radians(mountains.conditions.sun_azimuth)
    _, slope, aspect, _ = mountains.images["dem"]
    towards = np.cos(np.radians(aspect) - azimuth)
    trees = (mountains.images["lulc"][0] == LandCover.TREES) & (slope > 15)
    nir = mountains.images["s2"][3]
    assert nir[trees & (towards > 0.5)].mean() > 1.2 * nir[trees & (towards < -0.5)].mean()


def test_sunlight_on_a_plane_follows_the_cosine_law() -> None:
    where = scene_conditions(Fields((0, 1, 0), (32, 32)), 0)
    azimuth, height = np.radians(where.sun_azimuth), np.radians(where.sun_elevation)
    y, x = np.mgrid[:32, :32].astype(float)
    tilt = np.radians(12)
    # Rises away from the sun, hence faces it.
    plane = 10 * np.tan(tilt) * (-(x * np.sin(azimuth)) + y * np.cos(azimuth))
    light = sunlight(plane, where)[8:-8, 8:-8]
    np.testing.assert_allclose(light, np.sin(height + tilt) / np.sin(height), rtol=1e-6)


def test_a_ridge_casts_its_shadow_away_from_the_sun() -> None:
    where = scene_conditions(Fields((0, 1, 0), (64, 64)), 0)
    tower = np.zeros((96, 96))
    tower[46:50, 46:50] = 150.0
    dark = np.argwhere(sunlight(tower, where) < 0.3) - 47.5
    azimuth = np.radians(where.sun_azimuth)
    along = dark @ np.array([-np.cos(azimuth), np.sin(azimuth)])
    assert len(dark) > 20
    assert along.mean() < -3


def test_the_radar_sees_slopes_that_face_it_at_a_smaller_angle() -> None:
    where = scene_conditions(Fields((0, 1, 0), (64, 64)), 0)
    look = np.radians(where.look_azimuth)
    y, x = np.mgrid[:48, :48].astype(float)
    rising = 10 * np.tan(np.radians(10)) * (x * np.sin(look) - y * np.cos(look))  # rises as the radar looks: faces it
    facing, level = incidence(rising, where)[24, 24], incidence(np.zeros((48, 48)), where)[24, 24]
    assert facing == pytest.approx(level - 10, abs=0.3)


def test_water_lies_level_and_lower_than_the_land_around_it() -> None:
    coast = made("coast")
    sea = inner(coast.terrain.sea)
    elevation = inner(coast.terrain.elevation)
    assert 0.05 < sea.mean() < 0.9
    assert (elevation[sea] == 0).all()
    assert np.median(elevation[~sea]) > 1


def test_rivers_run_in_valleys(plain: Scene) -> None:
    terrain = made("hills", size=256).terrain
    river = terrain.river > 0.5
    around = ndimage.uniform_filter(terrain.elevation, 41)
    assert river.sum() > 100
    assert (terrain.elevation < around)[river].mean() > 0.85


def test_the_stored_elevation_knows_less_than_the_true_relief(mountains: Scene) -> None:
    def fine(heights: np.ndarray) -> float:
        return float((heights - ndimage.gaussian_filter(heights, 2.0)).std())

    truth, stored = inner(mountains.terrain.elevation), mountains.images["dem"][0].astype(float)
    assert fine(stored) < 0.9 * fine(truth)
    assert correlation(stored, truth) > 0.999


def test_the_oracle_is_closer_to_the_truth_than_the_mean_of_each_class(plain: Scene) -> None:
    truth, oracle, ids = plain.images["s2"], plain.images["oracle"], plain.images["lulc"][0]
    floor = truth.copy()
    for cls in np.unique(ids):
        floor[:, ids == cls] = truth[:, ids == cls].mean(axis=1, keepdims=True)
    error, worse = (np.square(guess - truth).mean() for guess in (oracle, floor))
    assert error < worse / 4
    assert error > 1e-6  # it does not know the texture


def test_clouds_hide_the_asked_share_and_leave_the_truth_alone(plain: Scene) -> None:
    clouded = made("plain", size=256, clouds=0.3)
    np.testing.assert_array_equal(clouded.images["s2"], plain.images["s2"])
    mask = clouded.images["cloud"][0]
    assert (mask == 1).mean() == pytest.approx(0.3, abs=0.002)
    assert (mask == 2).mean() > 0.02
    difference = clouded.images["s2_cloudy"] - clouded.images["s2"]
    assert (difference[:, mask == 0] == 0).all()
    assert difference[0][mask == 1].mean() > 0.1
    assert difference[3][mask == 2].mean() < -0.005


def test_shadows_lie_away_from_the_sun() -> None:
    clouded = made("plain", size=256, clouds=0.15)
    cloud, shade = (ndimage.gaussian_filter((clouded.images["cloud"][0] == k).astype(float), 2) for k in (1, 2))
    azimuth = np.radians(clouded.conditions.sun_azimuth)

    def agreement(direction: float, reach: float) -> float:
        offset = (-np.cos(azimuth) * reach * direction, np.sin(azimuth) * reach * direction)
        return float((ndimage.shift(cloud, offset, order=1) * shade).sum())

    reaches = range(20, 200, 10)
    assert max(agreement(-1, r) for r in reaches) > 1.2 * max(agreement(1, r) for r in reaches)


def test_every_kind_of_landscape_has_what_it_is_named_for() -> None:
    shares = {kind: np.bincount(made(kind).images["lulc"].ravel(), minlength=9) / 192**2 for kind in KINDS}
    assert shares["plain"][LandCover.CROPS] > 0.4
    assert shares["coast"][LandCover.WATER] > 0.1
    assert shares["wetland"][LandCover.FLOODED] > shares["plain"][LandCover.FLOODED] / 2
    assert shares["arid"][LandCover.BARE] + shares["arid"][LandCover.SHRUB] > 0.3
    assert shares["hills"][LandCover.TREES] > shares["arid"][LandCover.TREES]


def test_stored_values_are_whole_steps(plain: Scene) -> None:
    for name, per_unit in (("s2", 1e4), ("oracle", 1e4), ("s1", 1e2)):
        steps = plain.images[name].astype(np.float64) * per_unit
        assert np.abs(steps - np.rint(steps)).max() < 0.01, name


def test_scenes_lie_far_apart() -> None:
    places = {place_of(i) for i in range(2000)}
    assert len(places) == 2000
    assert place_of(MAX_SCENES - 1)[0].startswith("EPSG:32")
    by_zone = [(x, y) for crs, x, y in places if crs == place_of(0)[0]]
    xy = np.array(by_zone)
    apart = np.abs(xy[:, None] - xy[None]).max(-1)
    assert apart[apart > 0].min() >= 50_000


def test_hashes_are_uniform_and_fixed() -> None:
    values = hash_unit(np.arange(100_000), 3)
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert abs(correlation(values[1:], values[:-1])) < 0.02
    assert hash_unit(np.arange(2), 1).tolist() == [0.8833107948303223, 0.5665615200996399]
