"""`rsspade prepare` on odd but legal files: what a file declares is heeded, nothing is made up."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from scene_files import NORTH, UTM, WEST, write_raster
from test_elevation import coarse_product, fractal_terrain, lattice
from test_prepare import ONE, flags, run, whole

from rsspade.data.manifest import DatasetFolder, safe_name

PLACE = Affine(10, 0, WEST, 0, -10, NORTH)


def values_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        return src.read()


def test_scales_that_a_file_declares_are_applied(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    declared = {"s2": 1e-4, "s1": 0.01, "dem": 0.1}
    scaled = {}
    for name, scale in declared.items():
        numbers = values_of(files[name]) / (1 if name == "s2" else scale)
        scaled[name] = write_raster(tmp_path / f"{name}.tif", np.rint(numbers).astype("i2"), crs=UTM, transform_=PLACE)
        with rasterio.open(scaled[name], "r+") as dst:
            dst.scales = (scale,) * dst.count
    assert run(*flags(files, "s2", "s1", "dem"), *ONE, "--out", tmp_path / "plain") == 0
    assert run(*flags(scaled), *ONE, "--out", tmp_path / "scaled") == 0
    for name, scale in declared.items():
        plain, other = (whole(tmp_path / d, name)[0][0] for d in ("plain", "scaled"))
        np.testing.assert_allclose(plain, other, atol=scale)


def test_an_offset_that_a_file_declares_is_not_subtracted_again(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in", offset=-1000)
    with rasterio.open(files["s2"], "r+") as dst:
        dst.offsets = (-1000,) * 4
    assert run(*flags(files, "s2"), *ONE, "--out", tmp_path / "out") == 0
    expected = (values_of(files["s2"]).astype(float) - 1000) / 10_000
    np.testing.assert_allclose(whole(tmp_path / "out", "s2")[0], expected, atol=1e-6)


def test_pixels_that_a_mask_hides_hold_nothing(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    heights = values_of(files["dem"])
    heights[:, :20] = 0  # hidden, and no sea
    shown = np.ones((256, 256), bool)
    shown[:20] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        dem = write_raster(tmp_path / "dem.tif", heights, crs=UTM, transform_=PLACE)
        with rasterio.open(dem, "r+") as dst:
            dst.write_mask(shown)
    assert run(*flags(files, "s2"), "--dem", dem, *ONE, "--min-valid", 0.5, "--out", tmp_path / "out") == 0
    np.testing.assert_array_equal(np.isfinite(whole(tmp_path / "out", "dem")[0]), np.broadcast_to(shown, (4, 256, 256)))


def test_holes_in_the_elevation_stay_holes(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    heights = values_of(files["dem"])
    heights[0, 100:110, 100:110] = -9999
    heights[0, 150, 150] = -9999
    dem = write_raster(tmp_path / "dem.tif", heights, crs=UTM, transform_=PLACE, nodata=-9999)
    assert run(*flags(files, "s2"), "--dem", dem, *ONE, "--out", tmp_path / "out") == 0
    np.testing.assert_array_equal(np.isnan(whole(tmp_path / "out", "dem")[0]), np.repeat(heights == -9999, 4, axis=0))


def test_a_30_m_elevation_leaves_no_lattice_in_the_stored_slope(tmp_path, make_scene_files):
    truth = fractal_terrain(3.6, 120.0)
    coarse, place = coarse_product(truth), Affine(30, 0, WEST, 0, -30, NORTH)
    dem = write_raster(tmp_path / "dem.tif", coarse.astype("f4")[None], crs=UTM, transform_=place)
    power = np.full((2, 480, 480), [[[-10.0]], [[-17.0]]], "f4")
    radar = write_raster(tmp_path / "s1.tif", power, crs=UTM, transform_=PLACE)
    options = ("--tile-size", 96, "--workers", 1, "--split", "1:0:0")
    assert run("--s1", radar, "--dem", dem, "--grid", radar, *options, "--out", tmp_path / "out") == 0
    stored = whole(tmp_path / "out", "dem")[0]
    assert stored.shape == (4, 480, 480)
    assert lattice(stored[0], slope=stored[1]) < 1.5
    repeated = np.kron(coarse, np.ones((3, 3)))
    assert lattice(repeated) > 2.5  # the measure can fail


def test_files_whose_names_state_different_baselines_are_refused(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    numbers = values_of(files["s2"])
    halves = []
    for n, baseline in enumerate(("N0301", "N0500")):
        name = f"S2A_MSIL2A_20200101T101031_{baseline}_R022_T32UPU_20200101T101031.tif"
        place = PLACE * Affine.translation(128 * n, 0)
        halves.append(write_raster(tmp_path / name, numbers[:, :, 128 * n :][:, :, :128], crs=UTM, transform_=place))
    assert run("--s2", *halves, *ONE, "--out", tmp_path / "out") == 2
    assert "N0500_R022_T32UPU_20200101T101031.tif: expected files with one offset in a scene" in capsys.readouterr().err
    assert run("--s2", *halves, *ONE, "--s2-offset", 0, "--out", tmp_path / "out") == 0  # said plainly


def test_band_files_that_are_not_wanted_tell_about_the_offset(tmp_path, capsys):
    rng = np.random.default_rng(0)
    bright = rng.integers(3000, 5000, (1, 256, 256)).astype("u2")  # a desert: nothing dark in the wanted bands
    for band in ("B02", "B03", "B04", "B08"):
        write_raster(tmp_path / "in" / f"T32_{band}.tif", bright, crs=UTM, transform_=PLACE, nodata=0)
    assert run("--s2", tmp_path / "in", *ONE, "--out", tmp_path / "out") == 2
    assert "--s2-offset" in capsys.readouterr().err
    cirrus = rng.integers(1005, 1030, (1, 64, 64)).astype("u2")  # nothing reflects here: the offset itself
    write_raster(tmp_path / "in" / "T32_B10.tif", cirrus, crs=UTM, transform_=PLACE * Affine.scale(4), nodata=0)
    assert run("--s2", tmp_path / "in", *ONE, "--out", tmp_path / "out") == 0
    np.testing.assert_allclose(whole(tmp_path / "out", "s2")[0][0], (bright[0].astype(float) - 1000) / 1e4, atol=1e-6)


@pytest.mark.parametrize("nodata", [None, 255])
def test_a_mask_of_0_and_255_is_used_only_where_255_is_declared_as_nodata(tmp_path, make_scene_files, capsys, nodata):
    files = make_scene_files(tmp_path / "in")
    mask = np.zeros((1, 256, 256), "u1")
    mask[:, :70] = 255
    clouds = write_raster(tmp_path / "mask.tif", mask, crs=UTM, transform_=PLACE, nodata=nodata)
    code = run(*flags(files, "s2"), "--cloud-mask", clouds, *ONE, "--out", tmp_path / "out")
    if nodata is None:
        assert code == 2
        assert "found 0 and 255 only, and 255 may be cloud or unknown" in capsys.readouterr().err
    else:
        assert code == 0
        top = max(DatasetFolder.open(tmp_path / "out").rows, key=lambda r: r.y_max)
        assert top.cloud_fraction is None


def test_a_dataset_without_any_clear_pixel_still_knows_its_bands(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in", bands=12)
    clouds = write_raster(tmp_path / "mask.tif", np.ones((1, 256, 256), "u1"), crs=UTM, transform_=PLACE)
    command = ("--s2", files["s2"], "--cloud-mask", clouds, "--s2-bands", "red,B11", *ONE, "--out", tmp_path / "out")
    assert run(*command) == 0
    dataset = DatasetFolder.open(tmp_path / "out")
    assert "S2" not in dataset.info.sources
    assert dataset.optical_bands == ("red", "swir16")
    assert dataset.read("s2_cloudy", dataset.rows[0].tile).shape[0] == 2


def test_a_job_that_yields_no_tile_leaves_nothing_in_the_way_of_the_next_try(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    power = values_of(files["s1"])
    power[:, :, ::2] = np.nan
    radar = write_raster(tmp_path / "s1.tif", power, crs=UTM, transform_=PLACE)
    assert run("--s1", radar, *ONE, "--out", tmp_path / "out") == 2
    assert "Lower --min-valid" in capsys.readouterr().err
    assert run("--s1", radar, *ONE, "--min-valid", 0.4, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize("change", ["dates", "grid"])
def test_a_resumed_job_notices_other_dates_and_another_grid(tmp_path, make_scene_files, capsys, monkeypatch, change):
    files = make_scene_files(tmp_path / "in")
    grid = make_scene_files(tmp_path / "grid")["lulc"]
    command = [*flags(files, "s2"), "--grid", grid, *ONE, "--out", tmp_path / "out"]
    with monkeypatch.context() as patched:
        patched.setattr("rsspade.geo.prepare.finish_dataset", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(*command, "--s2-date", "2023-06-01")
    capsys.readouterr()
    if change == "grid":
        write_raster(grid, values_of(grid), crs=UTM, transform_=PLACE * Affine.translation(0.5, 0.5))
    date = "2023-06-01" if change == "grid" else "2023-06-02"
    assert run(*command, "--s2-date", date) == 2
    line = capsys.readouterr().err.strip()
    assert "expected an interrupted job with the same arguments" in line
    assert (change == "grid") == ("grid" in line.split("found")[1])
    assert len(line) < 600  # not the whole list of files


def test_a_resumed_job_notices_another_order_of_files(tmp_path, make_scene_files, capsys, monkeypatch):
    """Where two files overlap, the first wins: blocks of either order must not mix."""
    one, other = (make_scene_files(tmp_path / n)["s1"] for n in ("one", "other"))
    with monkeypatch.context() as patched:
        patched.setattr("rsspade.geo.prepare.finish_dataset", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("--s1", one, other, *ONE, "--grid", one, "--out", tmp_path / "out")
    assert run("--s1", other, one, *ONE, "--grid", one, "--out", tmp_path / "out") == 2
    assert "expected an interrupted job with the same arguments" in capsys.readouterr().err


def test_a_pixel_size_beside_a_grid_is_refused(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    assert run(*flags(files, "s2"), "--grid", files["s2"], "--pixel-size", 20, *ONE, "--out", tmp_path / "out") == 2
    assert "--pixel-size: expected no such option beside --grid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"scene,s2\nx,{'a' * 200_000}\n", "line 2: expected a table"),
        ("scene,s2\n,a.tif\n", "line 2: expected the name of a scene"),
        ("scene,s2\n東京,a.tif\n大阪,b.tif\n", "'大阪', which is 'scene' as a file's name, again"),
        (
            "scene,s2\nBled,a.tif\nbled,b.tif\n",
            "'bled', which is 'bled' as a file's name, again (as 'Bled', but for capitals)",
        ),
        ("scene,s2,s2\nx,a.tif,b.tif\n", "expected each column once, found s2 again"),
        ("scene,s2\nx,a.tif,b.tif\n", "line 2: expected 2 fields, found 3"),
        ("scene;s2\nx;a.tif\n", "found scene;s2. Separate fields by ','"),
        ('scene,s2,dem\nx, "a.tif",\n"y", "b.tif", "c.tif"\n', "scene x: "),
    ],
    ids=[
        "an endless field",
        "no name",
        "names without a letter for files",
        "capitals",
        "a column twice",
        "a field too many",
        "semicolons",
        "a file",
    ],
)
def test_bad_lines_in_a_table_of_scenes_are_named(tmp_path, capsys, text, message):
    (tmp_path / "scenes.csv").write_text(text, encoding="utf-8")
    assert run("--scenes", tmp_path / "scenes.csv", "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("text", "name"), [("Škofja Loka", "Skofja_Loka"), ("Besançon/été", "Besancon_ete")])
def test_letters_lose_their_accents_and_stay(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize("out", [".", "..", "n" * 260])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, make_scene_files, capsys, monkeypatch, out):
    files = make_scene_files(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert run(*flags(files, "s2"), *ONE, "--out", out) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_gap_of_its_own_in_each_band_is_heeded(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    for n, nodata in ((1, -99.0), (2, -50.0)):
        plane = values_of(files["s1"])[n - 1 : n]
        plane[:, : 10 * n, : 10 * n] = nodata
        write_raster(tmp_path / f"b{n}.tif", plane, crs=UTM, transform_=PLACE, nodata=nodata)
    vrt = tmp_path / "s1.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{n}"><NoDataValue>{nodata}</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">b{n}.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
        for n, nodata in ((1, -99), (2, -50))
    )
    place = ", ".join(map(str, PLACE.to_gdal()))
    vrt.write_text(
        f'<VRTDataset rasterXSize="256" rasterYSize="256"><SRS>{UTM}</SRS><GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>'
    )
    assert run("--s1", vrt, *ONE, "--out", tmp_path / "out") == 0
    vv, vh = np.isfinite(whole(tmp_path / "out", "s1")[0])
    assert (int((~vv).sum()), int((~vh).sum())) == (100, 400)


def test_voids_that_the_plan_did_not_see_leave_no_trace_in_the_heights(tmp_path):
    heights = np.full((1, 1100, 1100), 700.0, "f4")
    at = int(np.setdiff1d(np.arange(1100), np.floor((np.arange(512) + 0.5) * 1100 / 512).astype(int))[300])
    heights[0, at, at] = -32768
    place = Affine(10.3, 0, WEST, 0, -10.3, NORTH)
    dem = write_raster(tmp_path / "dem.tif", heights, crs=UTM, transform_=place)
    assert run("--dem", dem, "--tile-size", 512, "--min-valid", 0.5, "--split", "1:0:0", "--out", tmp_path / "out") == 0
    data = DatasetFolder.open(tmp_path / "out")
    stored = np.stack([data.read("dem", row.tile)[0] for row in data.rows])
    assert np.isnan(stored).any()
    np.testing.assert_allclose(stored[np.isfinite(stored)], 700, atol=1e-2)


def test_overviews_that_mix_classes_do_not_count(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    rng = np.random.default_rng(3)
    ids = np.kron(rng.choice([10, 40, 80], (375, 375)), np.ones((2, 2))).astype("u1")
    lulc = write_raster(
        tmp_path / "wc.tif", ids[None], crs=UTM, transform_=Affine(10, 0, WEST - 500, 0, -10, NORTH + 500)
    )
    with rasterio.open(lulc, "r+") as dst:
        dst.build_overviews([2, 4], rasterio.enums.Resampling.average)
    worldcover = ("--landcover-scheme", "worldcover", "--landcover-to", "worldcover")
    assert run(*flags(files, "s2"), "--lulc", lulc, *worldcover, *ONE, "--out", tmp_path / "out") == 0
    assert set(np.unique(whole(tmp_path / "out", "lulc")[0])) == {10, 40, 80}


def test_a_rotation_that_rounding_has_left_is_none(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    hardly = Affine(10, 1e-15, WEST, -1e-15, -10, NORTH)
    s1 = write_raster(tmp_path / "s1.tif", values_of(files["s1"]), crs=UTM, transform_=hardly)
    assert run("--s1", s1, *ONE, "--out", tmp_path / "out") == 0


def test_water_that_is_declared_as_nodata_is_told(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    ids = values_of(files["lulc"])
    ids[0, :64] = 0
    lulc = write_raster(tmp_path / "dw.tif", ids, crs=UTM, transform_=PLACE, nodata=0)
    run(*flags(files, "s2"), "--lulc", lulc, *ONE, "--min-valid", 0.5, "--out", tmp_path / "out")
    assert "dw.tif: 0 is declared as nodata and is the class 'water' of dynamic_world; 25.0%" in capsys.readouterr().err


def test_reflectance_in_which_the_offset_still_is_is_told(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    rng = np.random.default_rng(0)
    forest, water = np.array([0.03, 0.05, 0.03, 0.35]), np.array([0.03, 0.03, 0.02, 0.01])
    ground = np.where(rng.random((1, 256, 256)) < 0.7, forest[:, None, None], water[:, None, None])
    s2 = write_raster(
        tmp_path / "s2.tif", (ground + rng.uniform(0, 0.01, ground.shape) + 0.1).astype("f4"), crs=UTM, transform_=PLACE,
        names=("blue", "green", "red", "nir"),
    )  # fmt: skip
    assert run("--s2", s2, *flags(files, "s1"), *ONE, "--out", tmp_path / "out") == 0
    assert "s2.tif: no band is darker than 0.09" in capsys.readouterr().err
    assert run("--s2", s2, *flags(files, "s1"), "--s2-offset", 0, *ONE, "--out", tmp_path / "said") == 0
    assert "darker" not in capsys.readouterr().err


def test_an_alpha_band_hides_pixels_however_many_bands_there_are(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    alpha = np.full((1, 256, 256), 65535, "u2")
    alpha[:, :20] = 0
    image = values_of(files["s2"])
    image[:, :20] = 12_345
    s2 = write_raster(tmp_path / "s2.tif", np.concatenate([image, alpha]), crs=UTM, transform_=PLACE)
    with rasterio.open(s2, "r+") as dst:
        dst.colorinterp = [ColorInterp.undefined] * 4 + [ColorInterp.alpha]
    assert run("--s2", s2, "--s2-offset", 0, *ONE, "--min-valid", 0.5, "--out", tmp_path / "out") == 0
    stored = whole(tmp_path / "out", "s2")[0]
    assert np.isnan(stored[:, :20]).all()
    np.testing.assert_allclose(stored[:, 20:], image[:, 20:] / 1e4, rtol=1e-6)


def test_a_file_without_a_place_is_told_in_one_line(tmp_path, capsys):
    with pytest.warns(NotGeoreferencedWarning):
        write_raster(tmp_path / "s2.tif", np.full((4, 64, 64), 700, "u2"), crs=None, transform_=Affine.identity())
    assert run("--s2", tmp_path / "s2.tif", "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "s2.tif: expected a coordinate reference system, found none" in line


def test_colours_and_alpha_do_not_count_against_what_bands_are_called(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    s2 = write_raster(
        tmp_path / "s2.tif", values_of(files["s2"]), crs=UTM, transform_=PLACE, names=("B2", "B3", "B4", "B8")
    )
    dem = write_raster(
        tmp_path / "dem.tif",
        np.concatenate([values_of(files["dem"]), np.full((1, 256, 256), 255, "f4")]),
        crs=UTM,
        transform_=PLACE,
    )
    for path, colours in ((s2, "red green blue alpha"), (dem, "gray alpha")):
        with rasterio.open(path, "r+") as dst:
            dst.colorinterp = [ColorInterp[name] for name in colours.split()]
    assert run("--s2", s2, "--s2-offset", 0, "--dem", dem, *ONE, "--out", tmp_path / "out") == 0
    np.testing.assert_allclose(whole(tmp_path / "out", "s2")[0], values_of(files["s2"]) / 1e4, rtol=1e-6)
    np.testing.assert_array_equal(whole(tmp_path / "out", "dem")[0][0], values_of(files["dem"])[0])


def test_a_rare_place_in_a_mask_with_overviews_is_seen(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    mask = np.full((1, 2048, 2048), 255, "u1")
    mask[0, 1100:1164, 1100:1164] = 0
    clouds = write_raster(
        tmp_path / "clouds.tif", mask, crs=UTM, transform_=Affine(10, 0, WEST - 10_000, 0, -10, NORTH + 10_000)
    )
    with rasterio.open(clouds, "r+") as dst:
        dst.build_overviews([2, 4, 8], rasterio.enums.Resampling.mode)
    assert run(*flags(files, "s2"), "--cloud-mask", clouds, *ONE, "--out", tmp_path / "out") == 2
    assert "found 0 and 255 only, and 255 may be cloud or unknown" in capsys.readouterr().err
