"""Elevation from 30 m to 10 m: where it belongs, close to the truth, and without the coarse lattice."""

import numpy as np
import pytest
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from rasterio.warp import reproject
from scipy.ndimage import gaussian_filter

from rsspade.geo.elevation import ELEVATION_MARGIN, resample_elevation
from rsspade.geo.terrain import FLAT_ASPECT, terrain_derivatives

UTM = "EPSG:32633"
COARSE = from_origin(500_000, 5_000_000, 30, 30)
FINE = from_origin(500_000, 5_000_000, 10, 10)
SIZE = 480


def fractal_terrain(steepness: float, relief: float, seed: int = 0) -> np.ndarray:
    """SIZE × SIZE heights at 10 m with a power-law spectrum."""
    rng = np.random.default_rng(seed)
    n = 2 * SIZE
    wave = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    wave[0, 0] = np.inf
    waves = wave ** (-steepness / 2) * (rng.normal(size=wave.shape) + 1j * rng.normal(size=wave.shape))
    heights = np.fft.irfft2(waves, s=(n, n))[:SIZE, :SIZE]
    return relief * heights / heights.std()


def coarse_product(truth: np.ndarray, *, whole_metres: bool = False) -> np.ndarray:
    """What a 30 m product would say: the optics blur, the pixel averages."""
    blocks = gaussian_filter(truth, 1.5).reshape(SIZE // 3, 3, SIZE // 3, 3).mean(axis=(1, 3))
    return np.rint(blocks) if whole_metres else blocks


def by_gdal(coarse: np.ndarray, kernel: Resampling) -> np.ndarray:
    out = np.full((SIZE, SIZE), np.nan, np.float32)
    reproject(coarse.astype(np.float32), out, src_transform=COARSE, src_crs=UTM, dst_transform=FINE, dst_crs=UTM,
              src_nodata=np.nan, dst_nodata=np.nan, resampling=kernel, tolerance=0)  # fmt: skip
    return out


def by_us(coarse: np.ndarray) -> np.ndarray:
    return resample_elevation(coarse, COARSE, UTM, FINE, UTM, (SIZE, SIZE))


def lattice(heights: np.ndarray, slope: np.ndarray | None = None) -> float:
    """Power of the slope at a period of 30 m over that of the frequencies beside it; the worse of x and y."""
    slope = (terrain_derivatives(heights, 10.0)[1] if slope is None else slope)[30:-30, 30:-30].astype(np.float64)
    worst = 0.0
    for rows in (slope, slope.T):
        n = rows.shape[1]
        taper = np.hanning(n)
        power = (np.abs(np.fft.rfft((rows - rows.mean(axis=1, keepdims=True)) * taper, axis=1)) ** 2).mean(axis=0)
        k = n // 3
        beside = np.concatenate([power[k - 20 : k - 3], power[k + 4 : k + 20]])
        worst = max(worst, float(power[k - 1 : k + 2].max() / np.median(beside)))
    return worst


@pytest.mark.parametrize("whole_metres", [False, True])
@pytest.mark.parametrize(
    ("steepness", "relief", "worse"),
    [
        (3.6, 120.0, (Resampling.nearest, Resampling.bilinear, Resampling.cubic)),
        (4.2, 150.0, (Resampling.nearest, Resampling.cubic)),
    ],
)
def test_a_30_m_elevation_leaves_no_lattice_in_the_slope(
    steepness: float, relief: float, worse: tuple[Resampling, ...], whole_metres: bool
) -> None:
    truth = fractal_terrain(steepness, relief)
    coarse = coarse_product(truth, whole_metres=whole_metres)
    assert lattice(truth) < 1.5  # the measure itself sees no comb in untouched terrain
    assert lattice(by_us(coarse)) < 1.5
    for kernel in worse:
        assert lattice(by_gdal(coarse, kernel)) > 2.5, f"{kernel.name} should fail this test"


def test_heights_are_as_close_to_the_truth_as_those_of_the_cubic_kernel_and_unbiased() -> None:
    truth = fractal_terrain(3.6, 120.0, seed=1)
    coarse = coarse_product(truth)
    inside = (slice(30, -30), slice(30, -30))
    ours, cubic = (by_us(coarse) - truth)[inside], (by_gdal(coarse, Resampling.cubic) - truth)[inside]
    assert abs(ours.mean()) < 0.02
    assert ours.std() < 1.1 * cubic.std()
    smooth = by_gdal(coarse, Resampling.cubic_spline) - truth  # the test can fail: a smoothing spline does
    assert smooth[inside].std() > 1.1 * cubic.std()


def test_from_geographic_coordinates_the_heights_come_to_their_place() -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 300 + 80 * np.sin((x - 500_000) / 400) * np.cos((y - 5_000_000) / 300)

    second = 1 / 3600
    lon, lat = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(500_000, 5_000_000)
    geographic = from_origin(lon - 30 * second, lat + 30 * second, second, second)
    row, column = np.mgrid[0:260, 0:260] + 0.5
    at = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(
        geographic.c + column * second, geographic.f - row * second
    )
    found = resample_elevation(surface(*at), geographic, "EPSG:4326", FINE, UTM, (300, 300))
    row, column = np.mgrid[0:300, 0:300] + 0.5
    # A shift by a hundredth of a pixel, 10 cm, would show as 2 cm on these slopes.
    assert np.abs(found - surface(500_000 + 10 * column, 5_000_000 - 10 * row)).max() < 0.001


def test_a_polynomial_surface_is_reproduced() -> None:
    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 100 + 0.3 * x - 0.2 * y + 4e-5 * x * y + 2e-8 * x**3 - 1e-8 * y**2 * x

    row, column = np.mgrid[0:40, 0:40] * 30 + 15.0
    fine_row, fine_column = np.mgrid[0:120, 0:120] * 10 + 5.0
    found = resample_elevation(surface(column, row), COARSE, UTM, FINE, UTM, (120, 120))
    inside = (slice(18, -18), slice(18, -18))  # six coarse pixels, the kernel's reach and one
    np.testing.assert_allclose(found[inside], surface(fine_column, fine_row)[inside], atol=2e-4)


@pytest.mark.parametrize("with_holes", [False, True])
def test_a_window_gives_the_same_as_the_whole(with_holes: bool) -> None:
    coarse = coarse_product(fractal_terrain(3.0, 80.0))
    if with_holes:
        coarse[np.random.default_rng(2).random(coarse.shape) < 0.05] = np.nan
        coarse[60:70, 80:95] = np.nan
    whole = by_us(coarse)
    top, left, height, width = 150, 210, 96, 120  # in 10 m pixels
    rows = slice(top // 3 - ELEVATION_MARGIN, (top + height) // 3 + ELEVATION_MARGIN)
    columns = slice(left // 3 - ELEVATION_MARGIN, (left + width) // 3 + ELEVATION_MARGIN)
    window = resample_elevation(
        coarse[rows, columns], COARSE * Affine.translation(columns.start, rows.start), UTM,
        FINE * Affine.translation(left, top), UTM, (height, width),
    )  # fmt: skip
    np.testing.assert_allclose(window, whole[top : top + height, left : left + width], rtol=1e-6)


def test_holes_stay_holes_and_do_not_ring() -> None:
    coarse = np.full((40, 40), 250.0)
    coarse[10:14, 20:26] = np.nan
    found = resample_elevation(coarse, COARSE, UTM, FINE, UTM, (120, 120))
    expected = np.zeros((120, 120), bool)
    expected[30:42, 60:78] = True
    np.testing.assert_array_equal(np.isnan(found), expected)
    np.testing.assert_array_equal(found[~expected], 250)


def test_beyond_the_source_there_is_no_height() -> None:
    found = resample_elevation(
        np.full((10, 10), 5.0), COARSE, UTM, from_origin(499_900, 5_000_100, 10, 10), UTM, (60, 60)
    )
    assert np.isfinite(found).sum() == 30 * 30
    assert np.isfinite(found[10:40, 10:40]).all()


def test_a_lake_under_a_cliff_is_flat_again_within_five_source_pixels() -> None:
    coarse = np.zeros((40, 40))
    coarse[:, 20:] = 100.0
    found = terrain_derivatives(resample_elevation(coarse, COARSE, UTM, FINE, UTM, (120, 120)), 10.0)
    away_from_the_border = slice(15, -15)  # where holes are filled, the kernel reaches further
    np.testing.assert_array_equal(found[2, away_from_the_border, : (20 - 5) * 3 - 1], FLAT_ASPECT)
    assert (found[2, away_from_the_border, (20 - 2) * 3] != FLAT_ASPECT).all()


def test_a_stack_of_bands_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one plane of heights"):
        resample_elevation(np.zeros((1, 4, 4)), COARSE, UTM, FINE, UTM, (4, 4))


def _print_table() -> None:
    """`python tests/geo/test_elevation.py`: the figures that the README and `rsspade.geo.elevation` quote."""
    kernels = {
        "bilinear": Resampling.bilinear, "GDAL cubic": Resampling.cubic, "lanczos": Resampling.lanczos,
        "GDAL cubic spline": Resampling.cubic_spline, "ours": None,
    }  # fmt: skip
    inner = np.s_[30:-30, 30:-30]
    for name, kernel in kernels.items():
        combs, errors = [], []
        for steepness, relief in ((3.6, 120.0), (4.2, 150.0)):
            for seed in range(3):
                truth = fractal_terrain(steepness, relief, seed)
                coarse = coarse_product(truth)
                made = by_us(coarse) if kernel is None else by_gdal(coarse, kernel)
                cubic = by_gdal(coarse, Resampling.cubic)
                combs.append(lattice(made))
                errors.append(np.std((made - truth)[inner]) / np.std((cubic - truth)[inner]))
        print(
            f"{name:<18} power at 30 m / beside it {min(combs):.1f} to {max(combs):.1f}; "
            f"height error / cubic's {min(errors):.2f} to {max(errors):.2f}"
        )


if __name__ == "__main__":
    _print_table()
