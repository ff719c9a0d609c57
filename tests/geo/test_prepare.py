"""`rsspade prepare` on good input: what comes out is where, and what, it should be."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from scene_files import NORTH, UTM, WEST, ground_on, write_raster
from skimage.registration import phase_cross_correlation

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.geo import prepare


def run(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def flags(files: dict[str, Path], *names: str) -> list[object]:
    return [a for n in (names or tuple(files)) for a in (f"--{n.replace('_', '-')}", files[n])]


def whole(dataset: Path, source: str) -> tuple[np.ndarray, Affine]:
    """All tiles of a one-scene dataset put together again."""
    opened = DatasetFolder.open(dataset)
    size, pixel = opened.info.tile_size, opened.info.pixel_size
    west, north = min(r.x_min for r in opened.rows), max(r.y_max for r in opened.rows)
    places = {r.tile: (round((north - r.y_max) / pixel), round((r.x_min - west) / pixel)) for r in opened.rows}
    height, width = (max(v[i] for v in places.values()) + size for i in (0, 1))
    out = np.full((len(opened.source(source).bands), height, width), np.nan, np.float32)
    for row in opened.rows:
        r, c = places[row.tile]
        out[:, r : r + size, c : c + size] = opened.read(source, row.tile)
    return out, Affine(pixel, 0, west, 0, -pixel, north)


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*.tif"))
    } | {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in ("tiles.csv", "dataset.json")}


ONE = ("--tile-size", 64, "--workers", 1, "--split", "1:0:0")


def test_optical_pixels_on_the_wanted_grid_are_copied(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in", shift=(0.3, 0.7))
    assert run(*flags(files), *ONE, "--out", tmp_path / "out") == 0
    got, place = whole(tmp_path / "out", "s2")
    with rasterio.open(files["s2"]) as src:
        assert place == src.transform
        np.testing.assert_array_equal(
            got, src.read()[:, : got.shape[1], : got.shape[2]].astype(np.float32) / np.float32(10_000)
        )


@pytest.mark.parametrize(("crs", "pixel"), [("EPSG:4326", 10.0), ("EPSG:32633", 20.0), ("EPSG:3857", 14.0), (UTM, 4.0)])
def test_a_pattern_from_another_grid_is_found_again_within_half_a_pixel(tmp_path, make_scene_files, crs, pixel):
    here = make_scene_files(tmp_path / "here")
    there = make_scene_files(tmp_path / "there", crs=crs, pixel=pixel, shift=(0.4, 0.2), margin=200)
    assert run("--s2", here["s2"], *flags(there, "s1", "lulc", "dem"), *ONE, "--out", tmp_path / "a") == 0
    assert run(*flags(there), *ONE, "--out", tmp_path / "b") == 0
    for dataset in ("a", "b"):
        for source in ("s2", "s1", "lulc", "dem"):
            got, place = whole(tmp_path / dataset, source)
            truth = ground_on(DatasetFolder.open(tmp_path / dataset).rows[0].crs, place, *got.shape[1:])
            seen = got[0]
            if source == "s1":
                seen = 10 ** (seen / 10)
            elif source == "lulc":
                seen = (seen == 1).astype(float)
            expected = (truth > 0.5).astype(float) if source == "lulc" else truth
            known = np.isfinite(got[0])  # tiles on the rim of a turned scene are left out
            expected, seen = (np.where(known, v - v[known].mean(), 0) for v in (expected, seen))
            shift, *_ = phase_cross_correlation(expected, seen, upsample_factor=20, normalization=None)
            assert np.abs(shift).max() < 0.5, (dataset, source, shift)
            # The place alone could be right by luck: the values must agree too.
            least = 0.8 if source == "lulc" else 0.97  # classes are taken from the nearest pixel: borders are off
            assert np.corrcoef(expected[known], seen[known])[0, 1] > least, (dataset, source)


def test_radar_is_averaged_in_linear_power(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    with rasterio.open(files["s1"]) as src:
        decibel, place = src.read(), src.transform
    rng = np.random.default_rng(0)
    fine = np.kron(decibel, np.ones((1, 2, 2))) + rng.normal(0, 4, (2, 512, 512))
    speckled = write_raster(
        tmp_path / "fine.tif", fine.astype(np.float32), crs=UTM, transform_=place * Affine.scale(0.5)
    )
    assert run("--s2", files["s2"], "--s1", speckled, *ONE, "--out", tmp_path / "out") == 0
    got, _ = whole(tmp_path / "out", "s1")
    blocks = (10 ** (fine / 10)).reshape(2, 256, 2, 256, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(got, 10 * np.log10(blocks), atol=0.01)


def test_tiles_and_blocks_leave_no_seams_in_the_terrain(tmp_path, make_scene_files, monkeypatch):
    files = make_scene_files(tmp_path / "in", margin=200)
    coarse = make_scene_files(tmp_path / "coarse", crs="EPSG:4326", pixel=30, margin=400)
    command = [*flags(files, "s2"), *flags(coarse, "s1", "lulc", "dem"), *ONE]
    assert run(*command, "--out", tmp_path / "large") == 0
    monkeypatch.setattr(prepare, "_BLOCK_PIXELS", 64)
    assert run(*command, "--out", tmp_path / "small") == 0
    for source in ("s1", "lulc", "s2"):
        np.testing.assert_allclose(
            whole(tmp_path / "large", source)[0], whole(tmp_path / "small", source)[0], rtol=0, atol=2e-3
        )
    large, small = (whole(tmp_path / n, "dem")[0] for n in ("large", "small"))
    for band, tolerance in ((0, 0.03), (1, 0.05), (3, 0.2)):  # metres, degrees, grey levels
        np.testing.assert_allclose(large[band], small[band], rtol=0, atol=tolerance)


def test_files_that_tile_an_area_and_files_per_band_give_the_same_as_one_file(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    pieces: dict[str, list[Path]] = {}
    for name, path in files.items():
        with rasterio.open(path) as src:
            values, place, nodata = src.read(), src.transform, src.nodata
        for n, (r, c) in enumerate([(0, 0), (0, 100), (90, 0), (90, 100)]):
            r2, c2 = (90 if r == 0 else 256), (100 if c == 0 else 256)
            pieces.setdefault(name, []).append(
                write_raster(
                    tmp_path / "pieces" / f"{name}_{n}.tif",
                    values[:, r:r2, c:c2],
                    crs=UTM,
                    transform_=place * Affine.translation(c, r),
                    nodata=nodata,
                )
            )
    for n, band in enumerate(["B02", "B03", "B04", "B08"]):
        with rasterio.open(files["s2"]) as src:
            write_raster(
                tmp_path / "bands" / f"T32_{band}.tif", src.read([n + 1]), crs=UTM, transform_=src.transform, nodata=0
            )
    for n, band in enumerate(["VV", "VH"]):
        with rasterio.open(files["s1"]) as src:
            write_raster(tmp_path / "radar" / f"S1_{band}.tif", src.read([n + 1]), crs=UTM, transform_=src.transform)
    assert run(*flags(files), *ONE, "--out", tmp_path / "one") == 0
    tiled = [a for name, paths in pieces.items() for a in (f"--{name}", *paths)]
    assert run(*tiled, *ONE, "--out", tmp_path / "tiled") == 0
    assert (
        run(
            "--s2",
            tmp_path / "bands",
            "--s1",
            tmp_path / "radar",
            *flags(files, "lulc", "dem"),
            *ONE,
            "--out",
            tmp_path / "banded",
        )
        == 0
    )
    for source in ("s2", "s1", "lulc", "dem"):
        reference = whole(tmp_path / "one", source)[0]
        for other in ("tiled", "banded"):
            np.testing.assert_array_equal(reference, whole(tmp_path / other, source)[0])


def test_twelve_bands_by_name_keep_their_order(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in", bands=12)
    order = "B12,nir,B1,blue,green,red,B5,B6,B7,B8A,B9,B11"
    assert run(*flags(files, "s2", "s1"), "--s2-bands", order, *ONE, "--out", tmp_path / "out") == 0
    dataset = DatasetFolder.open(tmp_path / "out")
    assert dataset.optical_bands[:4] == ("swir22", "nir", "coastal", "blue")
    assert len(dataset.optical_bands) == 12
    got, _ = whole(tmp_path / "out", "s2")
    with rasterio.open(files["s2"]) as src:  # positions of a 12-band file: B1 … B8, B8A, B9, B11, B12
        np.testing.assert_allclose(got[:3], src.read([12, 8, 1]) / 10_000, atol=1e-6)


def test_the_offset_of_new_products_is_removed(tmp_path, make_scene_files):
    plain, shifted = make_scene_files(tmp_path / "a"), make_scene_files(tmp_path / "b", offset=-1000)
    assert run(*flags(plain, "s2"), *ONE, "--s2-offset", "0", "--out", tmp_path / "plain") == 0
    assert run(*flags(shifted, "s2"), *ONE, "--s2-offset=-1000", "--out", tmp_path / "shifted") == 0
    np.testing.assert_allclose(whole(tmp_path / "plain", "s2")[0], whole(tmp_path / "shifted", "s2")[0], atol=1e-6)


def test_clouded_pixels_leave_the_clear_image_and_stay_in_the_clouded_one(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    mask = np.zeros((1, 256, 256), np.uint8)
    mask[0, :64, :64] = 1  # one tile wholly clouded
    mask[0, 64:80, :32] = 2
    with rasterio.open(files["s2"]) as src:
        clouds = write_raster(tmp_path / "mask.tif", mask, crs=UTM, transform_=src.transform)
    assert run(*flags(files), "--cloud-mask", clouds, *ONE, "--out", tmp_path / "out") == 0
    dataset = DatasetFolder.open(tmp_path / "out")
    by_place = {(r.x_min, r.y_max): r for r in dataset.rows}
    covered, partly, clear = (by_place[WEST + 640 * c, NORTH - 640 * r] for r, c in ((0, 0), (1, 0), (2, 2)))
    assert not dataset.has("s2", covered.tile)
    assert dataset.has("s2_cloudy", covered.tile)
    assert covered.cloud_fraction == 1.0
    image = dataset.read("s2", partly.tile)
    assert np.isnan(image[:, :16, :32]).all()
    assert np.isfinite(image[:, 16:]).all()
    assert partly.cloud_fraction == pytest.approx(16 * 32 / 64**2, abs=1e-4)
    assert clear.cloud_fraction == 0.0
    assert not dataset.has("s2_cloudy", clear.tile)


def test_a_scene_without_optics_is_tiled_too(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in", crs="EPSG:4326", margin=100)
    assert run(*flags(files, "s1", "lulc", "dem"), *ONE, "--out", tmp_path / "out") == 0
    dataset = DatasetFolder.open(tmp_path / "out")
    assert set(dataset.info.sources) == {"S1", "LULC", "DEM"}
    assert dataset.rows[0].crs == UTM


def test_a_table_of_scenes_becomes_one_dataset_split_by_scene(tmp_path, make_scene_files):
    lines = ["scene,s2,s1,lulc,dem,s1_date,s2_date"]
    for n in range(5):
        files = make_scene_files(tmp_path / f"in{n}")
        for path in files.values():  # five separate places
            with rasterio.open(path, "r+") as dst:
                dst.transform = Affine.translation(n * 10_000, 0) * dst.transform
        lines.append(
            f"place {n},"
            + ",".join(str(files[i].relative_to(tmp_path)) for i in ("s2", "s1", "lulc", "dem"))
            + ",2023-06-01,2023-06-03"
        )
    (tmp_path / "scenes.csv").write_text("\n".join(lines))
    assert run("--scenes", tmp_path / "scenes.csv", "--tile-size", 64, "--workers", 1, "--out", tmp_path / "out") == 0
    dataset = DatasetFolder.open(tmp_path / "out")
    split_of = {(r.scene, r.split) for r in dataset.rows}
    assert len(split_of) == 5
    assert {s for _, s in split_of} == {"train", "val", "test"}
    assert len(dataset.rows) == 5 * 16
    assert {(r.s1_date, r.s2_date) for r in dataset.rows} == {("2023-06-01", "2023-06-03")}


def test_the_files_open_in_plain_rasterio_by_band_description(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    assert run(*flags(files), *ONE, "--out", tmp_path / "out") == 0
    bands = {
        "S2": ("blue", "green", "red", "nir"),
        "S1": ("vv", "vh"),
        "LULC": ("landcover",),
        "DEM": ("elevation", "slope", "aspect", "hillshade"),
    }
    for folder, names in bands.items():
        paths = sorted((tmp_path / "out" / folder).glob("*.tif"))
        assert len(paths) == 16
        for path in paths:
            with rasterio.open(path) as src:
                assert src.descriptions == names
                assert src.profile["tiled"]
                assert src.compression is not None
                assert src.crs == rasterio.CRS.from_string(UTM)
                assert src.res == (10.0, 10.0)
                assert src.nodata is not None
    stored = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert {k: tuple(v["bands"]) for k, v in stored["sources"].items()} == bands


def test_an_interrupted_job_continues_and_gives_the_same_bytes(tmp_path, make_scene_files, monkeypatch):
    files = make_scene_files(tmp_path / "in")
    monkeypatch.setattr(prepare, "_BLOCK_PIXELS", 64)
    assert run(*flags(files), *ONE, "--out", tmp_path / "whole") == 0
    real, calls = prepare.prepare_block, []

    def stop_at_the_sixth(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(prepare, "prepare_block", stop_at_the_sixth)
    assert run(*flags(files), *ONE, "--out", tmp_path / "broken") == 130
    assert not (tmp_path / "broken").exists()
    calls.clear()
    monkeypatch.setattr(prepare, "prepare_block", lambda *a: calls.append(1) or real(*a))
    assert run(*flags(files), *ONE, "--out", tmp_path / "broken") == 0
    assert len(calls) == 16 - 5  # the five finished blocks are not repeated
    assert content(tmp_path / "broken") == content(tmp_path / "whole")
    assert not (tmp_path / "broken.partial").exists()


@pytest.mark.slow
def test_two_workers_give_the_same_bytes_as_one(tmp_path, make_scene_files, monkeypatch):
    files = make_scene_files(tmp_path / "in")
    monkeypatch.setattr(prepare, "_BLOCK_PIXELS", 128)
    command = [*flags(files), "--tile-size", 64, "--split", "1:0:0"]
    assert run(*command, "--workers", 1, "--out", tmp_path / "one") == 0
    assert run(*command, "--workers", 2, "--out", tmp_path / "two") == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")
