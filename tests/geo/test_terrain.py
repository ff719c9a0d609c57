"""Terrain derivatives: equal to gdaldem, and right where the answer is known by geometry."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from rsspade.geo.terrain import FLAT_ASPECT, terrain_derivatives, terrain_derivatives_inside

REAL_DEMS = ("282D_485L_3_3", "433D_629L_3_1", "637U_59R_1_3")
needs_gdaldem = pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem is not installed (gdal-bin)")


def real_dem(name: str) -> Path:
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        pytest.skip("RSSPADE_REAL_DATA does not name the folder with the real tiles")
    path = Path(root) / "terramesh" / "DEM" / f"{name}.tif"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def write_dem(path: Path, heights: np.ndarray, pixel: float = 10.0, nodata: float | None = None) -> Path:
    height, width = heights.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=1, dtype=heights.dtype, crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, pixel, pixel), nodata=nodata,
    ) as out:  # fmt: skip
        out.write(heights, 1)
    return path


def gdaldem(mode: str, dem: Path, folder: Path, *options: str) -> np.ndarray:
    out = folder / f"{mode}.tif"
    command = ["gdaldem", mode, str(dem), str(out), "-compute_edges", "-q", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with rasterio.open(out) as src:
        return src.read(1).astype(np.float64)


def assert_equals_gdaldem(dem: Path, heights: np.ndarray, folder: Path, pixel: float = 10.0) -> None:
    elevation, slope, aspect, shade = terrain_derivatives(heights, pixel)
    known = np.isfinite(heights)
    np.testing.assert_array_equal(np.isfinite(elevation), known)

    reference = gdaldem("slope", dem, folder)
    np.testing.assert_array_equal(reference != -9999, known)
    np.testing.assert_allclose(slope[known], reference[known], atol=0.01)

    reference = gdaldem("aspect", dem, folder)
    sloping = known & (reference != -9999)
    np.testing.assert_array_equal(aspect[known] == FLAT_ASPECT, ~sloping[known])
    turn = np.abs(aspect - reference)[sloping]
    assert np.minimum(turn, 360 - turn).max(initial=0) < 0.01

    reference = gdaldem("hillshade", dem, folder)
    np.testing.assert_allclose(shade[known], reference[known], atol=0.51)  # theirs is rounded to whole grey levels


@needs_gdaldem
@pytest.mark.parametrize("name", REAL_DEMS)
def test_real_terrain_equals_gdaldem_in_every_pixel(name: str, tmp_path: Path) -> None:
    dem = real_dem(name)
    with rasterio.open(dem) as src:
        heights, pixel = src.read(1).astype(np.float64), src.transform.a
    assert_equals_gdaldem(dem, heights, tmp_path, pixel)


@needs_gdaldem
@pytest.mark.parametrize(("relief", "pixel"), [(0.5, 10.0), (30.0, 10.0), (400.0, 30.0)])
def test_rough_terrain_equals_gdaldem_in_every_pixel(relief: float, pixel: float, tmp_path: Path) -> None:
    heights = np.random.default_rng(3).normal(scale=relief, size=(41, 37)).astype(np.float32)
    assert_equals_gdaldem(write_dem(tmp_path / "dem.tif", heights, pixel), heights, tmp_path, pixel)


@needs_gdaldem
def test_holes_are_treated_as_gdaldem_treats_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    heights = rng.normal(scale=20, size=(40, 50)).astype(np.float32)
    heights[rng.random(heights.shape) < 0.2] = -9999
    dem = write_dem(tmp_path / "dem.tif", heights, nodata=-9999)
    assert_equals_gdaldem(dem, np.where(heights == -9999, np.nan, heights), tmp_path)


@needs_gdaldem
def test_another_light_equals_gdaldem(tmp_path: Path) -> None:
    heights = np.random.default_rng(5).normal(scale=15, size=(30, 30)).astype(np.float32)
    dem = write_dem(tmp_path / "dem.tif", heights)
    shade = terrain_derivatives(heights, 10.0, azimuth_deg=120, altitude_deg=30)[3]
    np.testing.assert_allclose(shade, gdaldem("hillshade", dem, tmp_path, "-az", "120", "-alt", "30"), atol=0.51)


def plane(east: float, north: float, pixel: tuple[float, float], shape: tuple[int, int] = (9, 11)) -> np.ndarray:
    """Heights that rise by `east` and `north` metres per metre."""
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
    return 500 + east * column * pixel[0] - north * row * pixel[1]


@given(steepness=st.floats(0.001, 5), towards=st.floats(0, 359.99), width=st.floats(0.5, 60), height=st.floats(0.5, 60))
def test_a_plane_has_its_own_slope_aspect_and_shade(
    steepness: float, towards: float, width: float, height: float
) -> None:
    angle = np.radians(towards)  # the plane falls towards this azimuth, so it rises away from it
    heights = plane(-steepness * np.sin(angle), -steepness * np.cos(angle), (width, height))
    found = terrain_derivatives_inside(heights, (width, height)).astype(np.float64)
    np.testing.assert_allclose(found[1], np.degrees(np.arctan(steepness)), atol=1e-4)
    turn = np.abs(found[2] - towards)
    assert np.minimum(turn, 360 - turn).max() < 1e-3
    assert ((found[2] >= 0) & (found[2] < 360)).all()
    slope, light = np.arctan(steepness), np.radians(45)
    cosine = np.cos(slope) * np.sin(light) + np.sin(slope) * np.cos(light) * np.cos(np.radians(315) - angle)
    np.testing.assert_allclose(found[3], 1 + 254 * max(cosine, 0), atol=1e-2)


def test_a_plane_goes_on_at_the_border() -> None:
    found = terrain_derivatives(plane(0.2, -0.1, (10, 10)), 10.0)
    corners = np.zeros(found.shape[1:], bool)
    corners[[0, 0, -1, -1], [0, -1, 0, -1]] = True  # there gdaldem, and so we, repeat the heights sideways
    for band in found[1:]:
        np.testing.assert_allclose(band[~corners], band[4, 5], rtol=1e-5)


@pytest.mark.parametrize(("pixel", "tolerance"), [(10.0, 0.06), (5.0, 0.015), (2.5, 0.004)])
def test_a_cone_is_met_ever_closer_as_pixels_shrink(pixel: float, tolerance: float) -> None:
    # Horn's differences of a cone err by (pixel / distance)²: a quarter each time the pixels are halved.
    rise, n = 0.5, round(2000 / pixel) + 1
    row, column = np.mgrid[0:n, 0:n] - (n - 1) / 2
    distance = np.hypot(row, column) * pixel
    _, slope, aspect, _ = terrain_derivatives(1000 - rise * distance, pixel)
    ring = (distance > 200) & (distance < 900)
    assert np.abs(slope - np.degrees(np.arctan(rise)))[ring].max() < tolerance
    turn = np.abs(aspect - np.degrees(np.arctan2(column, -row)) % 360)[ring]
    assert np.minimum(turn, 360 - turn).max() < tolerance


@pytest.mark.parametrize("level", [0.0, 3.7, -12.25, 8848.86])
def test_flat_ground_faces_nowhere(level: float) -> None:
    _, slope, aspect, shade = terrain_derivatives(np.full((6, 7), level), 10.0)
    np.testing.assert_array_equal(slope, 0)
    np.testing.assert_array_equal(aspect, FLAT_ASPECT)
    np.testing.assert_allclose(shade, 1 + 254 * np.sin(np.radians(45)), atol=1e-4)


def test_rounding_of_stored_heights_gives_a_lake_no_direction() -> None:
    lake = np.full((20, 20), 4000.1, np.float32)
    lake[::2, ::3] = np.nextafter(np.float32(4000.1), np.float32(5000))
    np.testing.assert_array_equal(terrain_derivatives(lake[:, :], 100.0)[2], FLAT_ASPECT)


def test_a_window_with_a_halo_gives_the_same_as_the_whole() -> None:
    heights = np.random.default_rng(6).normal(scale=30, size=(40, 50))
    heights[10:13, 20:22] = np.nan
    whole = terrain_derivatives(heights, 10.0)
    window = terrain_derivatives_inside(heights[4:31, 9:41], 10.0)
    np.testing.assert_array_equal(window, whole[:, 5:30, 10:40])


def test_unknown_elevation_is_unknown_in_all_bands_and_spoils_no_neighbour() -> None:
    heights = plane(0.1, 0.0, (10, 10))
    heights[4, 5] = np.nan
    found = terrain_derivatives(heights, 10.0)
    assert np.isnan(found[:, 4, 5]).all()
    assert np.isfinite(np.delete(found.reshape(4, -1), 4 * 11 + 5, axis=1)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (2, 2)])
def test_the_smallest_rasters_work(shape: tuple[int, int]) -> None:
    assert np.isfinite(terrain_derivatives(np.arange(shape[0] * shape[1], dtype=float).reshape(shape), 10.0)).all()


def test_the_wrong_shape_or_pixel_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one plane of heights"):
        terrain_derivatives(np.zeros((1, 4, 4)), 10.0)
    with pytest.raises(ValueError, match=r"a width and a height in metres"):
        terrain_derivatives(np.zeros((4, 4)), (10.0, 0.0))
    with pytest.raises(ValueError, match=r"at least 3×3"):
        terrain_derivatives_inside(np.zeros((2, 5)), 10.0)
