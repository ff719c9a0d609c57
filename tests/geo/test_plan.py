"""The plan of a scene: its grid, its tiles and blocks, and places where grids are awkward."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform
from scene_files import UTM, write_raster

from rsspade.errors import InputError
from rsspade.geo import prepare
from rsspade.geo.grid import Grid, utm_crs_of
from rsspade.geo.inputs import plan_elevation
from rsspade.geo.mosaic import fitted
from rsspade.geo.plan import PrepareOptions, ScenePlan, plan_scene, refuse_antimeridian
from rsspade.geo.scenes import SceneFiles


def plan_of(height: int, width: int) -> ScenePlan:
    grid = Grid(crs=UTM, x_min=600_000, y_max=5_400_000, pixel_size=10, width=width, height=height)
    return ScenePlan(
        name="a", grid=grid, optical=None, radar=None, landcover=None, elevation=None, clouds=None,
        clouds_are_scl=False, s1_date="", s2_date="",
    )  # fmt: skip


@st.composite
def layouts(draw):
    size = draw(st.integers(32, 96))
    stride = draw(st.one_of(st.just(size), st.integers(max(1, size // 3), size)))
    height, width = draw(st.integers(size, 4 * size)), draw(st.integers(size, 4 * size))
    return plan_of(height, width), PrepareOptions(tile_size=size, stride=stride), draw(st.integers(1, 5 * size))


@given(layouts())
def test_tiles_cover_each_pixel_as_promised(layout):
    plan, options, _ = layout
    size, stride = options.tile_size, options.stride
    count = np.zeros((plan.grid.height, plan.grid.width), int)
    rows, columns = plan.tile_starts(options)
    for r in rows:
        for c in columns:
            assert count[r : r + size, c : c + size].shape == (size, size)  # none reaches beyond the grid
            count[r : r + size, c : c + size] += 1
    bottom, right = rows[-1] + size, columns[-1] + size
    assert (count[:bottom, :right] >= 1).all()
    assert plan.grid.height - bottom < stride
    assert plan.grid.width - right < stride
    assert (count[bottom:] == 0).all()
    assert (count[:, right:] == 0).all()
    if stride == size:
        assert (count[:bottom, :right] == 1).all()


@given(layouts())
def test_every_tile_is_in_exactly_one_block_and_blocks_are_small(layout):
    plan, options, block_pixels = layout
    with patch.object(prepare, "_BLOCK_PIXELS", block_pixels):
        blocks = prepare._blocks(plan, options)
    rows, columns = plan.tile_starts(options)
    tiles = [(r, c) for rs, cs in blocks for r in rs for c in cs]
    assert sorted(tiles) == [(r, c) for r in rows for c in columns]
    assert len({(rs[0], cs[0]) for rs, cs in blocks}) == len(blocks)  # by which the units of work are named
    for rs, cs in blocks:
        for starts in (rs, cs):
            assert starts[-1] + options.tile_size - starts[0] <= max(block_pixels, options.tile_size)


@settings(max_examples=30)
@given(layouts(), st.integers(0, 2**32 - 1), st.just(0.0) | st.floats(0.05, 1.0))
def test_a_tile_exists_where_its_valid_share_suffices(tmp_path_factory, layout, seed, min_valid):
    plan, options, block_pixels = layout
    options = PrepareOptions(tile_size=options.tile_size, stride=options.stride, min_valid=min_valid)
    rng = np.random.default_rng(seed)
    coarse = rng.random((9, 9)) < rng.random()
    valid = np.kron(coarse, np.ones((44, 44), bool))[: plan.grid.height, : plan.grid.width]

    def read(plan, options, window):
        row, column = round((plan.grid.y_max - window.y_max) / 10), round((window.x_min - plan.grid.x_min) / 10)
        return {}, valid[row : row + window.height, column : column + window.width]

    with patch.object(prepare, "_BLOCK_PIXELS", block_pixels), patch.object(prepare, "_read_block", read):
        done = [
            prepare.prepare_block(tmp_path_factory.getbasetemp(), plan, options, r, c)
            for r, c in prepare._blocks(plan, options)
        ]
    made = {(t["row"]["x_min"], t["row"]["y_max"]): t["row"]["valid_fraction"] for d in done for t in d["tiles"]}
    rows, columns = plan.tile_starts(options)
    size = options.tile_size
    shares = {
        (600_000 + 10 * c, 5_400_000 - 10 * r): valid[r : r + size, c : c + size].mean() for r in rows for c in columns
    }
    assert made == {place: share for place, share in shares.items() if share >= min_valid and share > 0}


@pytest.mark.parametrize(
    ("crs", "west", "expected"),
    [
        ("EPSG:3832", 3_334_000, "EPSG:32760"),
        ("EPSG:3832", 3_335_000, "EPSG:32701"),
        ("EPSG:4326", 11.99, "EPSG:32732"),
    ],
)
def test_the_utm_zone_is_that_of_the_middle_even_across_the_antimeridian(crs, west, expected):
    # EPSG:3832 counts from 150° east: 3 339 585 m is the antimeridian.
    box = (west, -2_000_000, west + 10_000, -1_990_000) if crs == "EPSG:3832" else (west, -17.0, west + 0.01, -16.9)
    assert utm_crs_of(CRS.from_string(crs), box, "x") == expected


def test_degrees_across_the_antimeridian_are_refused_with_the_way_out(tmp_path):
    grid = Affine(10, 0, 819_000, 0, -10, 8_118_000)  # zone 60, 180° east in its middle
    optical = write_raster(
        tmp_path / "s1.tif", np.full((2, 128, 128), [[[-10.0]], [[-17.0]]], "f4"), crs="EPSG:32760", transform_=grid
    )
    dem = write_raster(
        tmp_path / "dem.tif", np.ones((1, 200, 200), "f4"), crs="EPSG:4326",
        transform_=Affine(1 / 3600, 0, 180 - 200 / 3600, 0, -1 / 3600, -16.97),
    )  # fmt: skip
    scene = SceneFiles(name="fiji", paths={"s1": (optical,), "dem": (dem,)})
    with pytest.raises(InputError, match=r"dem\.tif: expected a projected CRS, since scene fiji crosses the antimerid"):
        plan_scene(scene, PrepareOptions(tile_size=32, stride=32))


def test_a_folder_of_several_places_is_refused_instead_of_spanning_the_earth(tmp_path):
    for n, (zone, west) in enumerate((("EPSG:32618", 400_000), ("EPSG:32651", 500_000))):
        write_raster(
            tmp_path / "s1" / f"{n}.tif", np.full((2, 64, 64), [[[-10.0]], [[-17.0]]], "f4"), crs=zone,
            transform_=Affine(10, 0, west, 0, -10, 4_500_000),
        )  # fmt: skip
    scene = SceneFiles(name="two", paths={"s1": (tmp_path / "s1",)})
    with pytest.raises(InputError, match=r"scene two: expected files of one place, at most 1000 km across"):
        plan_scene(scene, PrepareOptions(tile_size=32, stride=32))


def test_a_local_crs_is_refused(tmp_path):
    local = 'LOCAL_CS["site",LOCAL_DATUM["x",0],UNIT["metre",1],AXIS["E",EAST],AXIS["N",NORTH]]'
    path = write_raster(
        tmp_path / "a.tif", np.ones((1, 64, 64), "f4"), crs=local, transform_=Affine(10, 0, 0, 0, -10, 0)
    )
    with pytest.raises(InputError, match=r"a\.tif: expected a coordinate reference system with a place on the Earth"):
        plan_elevation([path])


def test_a_grid_in_feet_is_refused(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path)
    feet = write_raster(
        tmp_path / "g.tif",
        np.ones((1, 64, 64), "u1"),
        crs="EPSG:2263",
        transform_=Affine(10, 0, 980_000, 0, -10, 200_000),
    )
    with pytest.raises(InputError, match=r"g\.tif: expected a grid of square pixels in metres"):
        plan_scene(SceneFiles(name="a", paths={"s2": (files["s2"],)}), PrepareOptions(grid_like=str(feet)))


def test_a_long_strip_on_a_turned_grid_is_not_taken_for_growing_pixels(tmp_path):
    # Three degrees west of the zone's middle at 60° north the grids are turned by 2.6° against each other.
    path = write_raster(
        tmp_path / "dem.tif", np.ones((1, 64, 64), "f4"), crs="EPSG:32633", transform_=Affine(10, 0, 330_000, 0, -10, 6_660_000)
    )  # fmt: skip
    strip = Grid(crs="EPSG:32632", x_min=665_000, y_max=6_690_000, pixel_size=10, width=64, height=6000)
    coarse = Grid(crs="EPSG:32632", x_min=665_000, y_max=6_690_000, pixel_size=20, width=64, height=64)
    mosaic = plan_elevation([path])
    assert not fitted(mosaic, strip).parts[0].grows
    assert fitted(mosaic, coarse).parts[0].grows


def test_a_block_holds_fewer_tiles_where_the_files_have_finer_pixels(tmp_path):
    fine = write_raster(
        tmp_path / "s1.tif",
        np.full((2, 640, 640), -10, "f4"),
        crs=UTM,
        transform_=Affine(10, 0, 600_000, 0, -10, 5_400_000),
    )
    options = PrepareOptions(tile_size=32, stride=32, pixel_size=50)
    plan = plan_scene(SceneFiles(name="x", paths={"s1": (fine,)}), options)
    with patch.object(prepare, "_BLOCK_PIXELS", 320):  # of the file; of the grid there would be ten tiles of 32
        assert max(len(rows) for rows, _ in prepare._blocks(plan, options)) == 2


def test_a_grid_at_the_antimeridian_whose_slopes_would_look_beyond_it_is_refused(tmp_path):
    (seam,), (north,) = transform(CRS.from_epsg(4326), CRS.from_epsg(32660), [180 - 1e-9], [50.0])
    grid = Grid(crs="EPSG:32660", x_min=seam - 655, y_max=north, pixel_size=10, width=64, height=64)  # ends 15 m before
    place = Affine(1e-4, 0, 179, 0, -1e-4, 50.05)
    path = write_raster(tmp_path / "dem.tif", np.full((1, 1000, 10_000), 7, "f4"), crs="EPSG:4326", transform_=place)
    with pytest.raises(InputError, match="crosses the antimeridian"):
        refuse_antimeridian("it", grid, [plan_elevation([path])])
    refuse_antimeridian("it", grid.window(0, -10, 64, 64), [plan_elevation([path])])
