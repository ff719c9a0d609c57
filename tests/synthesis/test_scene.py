"""`rsspade scene`: one seamless GeoTIFF, on the pixels of its sources."""

import re
import resource
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
from generate_runs import save_run
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate
from scene_runs import files, rewritten, scene

from rsspade.data.geotiff import read_tile
from rsspade.synthesis import scene as scene_module
from rsspade.synthesis.blending import blend_tiles
from rsspade.synthesis.rows import RowFile
from rsspade.synthesis.scene import SceneOptions, tile_predictor
from rsspade.synthesis.scene_inputs import BlockReader, plan_inputs
from rsspade.synthesis.tiles import plan_tiles

SIDE = 320


@pytest.fixture
def land(scene_land):
    return scene_land


@pytest.fixture
def run(scene_run):
    return scene_run


@pytest.fixture
def model(tmp_path):
    return save_run(tmp_path / "own", variety=4, pixel_size_m=10.0)


def whole(land, **options):
    return plan_inputs(
        {n: [*map(Path, files(land, n))] for n in ("s1", "lulc", "dem")},
        options.pop("info"),
        scheme="dynamic_world",
        **options,
    )


def test_a_scene_of_one_tile_is_what_the_model_makes_of_it(tmp_path, land, run, model):
    tile = {name: Path(files(land, name)[6]) for name in ("s1", "lulc", "dem")}
    inputs = [part for name, path in tile.items() for part in (f"--{name}", str(path))]
    assert scene(run, land, tmp_path / "a.tif", *inputs, "--tile", 64, "--overlap", 16, sources=()) == 0
    direct = model({name: read_tile(path) for name, path in tile.items()}).numpy()
    with rasterio.open(tmp_path / "a.tif") as src:
        assert np.abs(src.read() - np.clip(direct / 1e-4, 0, 65534)).max() <= 1
        assert src.transform == rasterio.open(tile["s1"]).transform


def test_the_result_is_a_valid_cog_that_says_what_it_holds(tmp_path, land, run):
    assert scene(run, land, tmp_path / "a.tif", "--tile", 128, "--overlap", 32) == 0
    valid, errors, _ = cog_validate(tmp_path / "a.tif", quiet=True)
    assert valid, errors
    with rasterio.open(tmp_path / "a.tif") as src, rasterio.open(files(land, "s1")[0]) as first:
        assert (src.count, src.dtypes[0], src.nodata, src.shape) == (4, "uint16", 65535, (SIDE, SIDE))
        assert src.descriptions == ("blue", "green", "red", "nir")
        assert src.scales == (1e-4,) * 4
        assert (src.crs, src.transform) == (first.crs, first.transform)
        assert src.overviews(1) == [2]
        assert src.read(1, out_shape=(160, 160)).std() > 0
        assert src.tags()["sources"] == "s1,lulc,dem"
        assert len(src.tags()["weights_sha256"]) == 64
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif"]


def test_sources_are_read_on_the_pixels_of_the_grid(tmp_path, land, model):
    with rasterio.open(files(land, "s1")[0]) as src:
        profile = src.profile | {
            "width": 100,
            "height": 70,
            "transform": src.transform * rasterio.Affine.translation(37, 51),
        }
    with rasterio.open(tmp_path / "grid.tif", "w", **profile):
        pass
    inputs = whole(land, info=model.info, grid=tmp_path / "grid.tif")
    part = inputs.read(inputs.grid)
    everything = whole(land, info=model.info)
    for name, values in everything.read(everything.grid).items():
        np.testing.assert_array_equal(part[name], values[:, 51:121, 37:137])


def test_a_block_reader_gives_what_the_files_hold(land, model, monkeypatch):
    monkeypatch.setattr("rsspade.synthesis.scene_inputs._BLOCK_WIDTH", 150)
    inputs = whole(land, info=model.info)
    reader, full = BlockReader(inputs), inputs.read(inputs.grid)
    for row, column in [(0, 0), (0, 48), (0, 96), (0, 256), (64, 0), (64, 256)]:
        for name, values in reader.read(row, column, 64, 64).items():
            np.testing.assert_array_equal(values, full[name][:, row : row + 64, column : column + 64])


def test_nodata_is_where_no_source_holds_a_value(tmp_path, land, run):
    holes = {"s1": (slice(10, 90), slice(100, 250)), "lulc": (slice(50, 200), slice(60, 180))}
    merged = {}
    for name, hole in holes.items():
        values = np.concatenate(
            [
                np.concatenate([read_tile(Path(f)) for f in files(land, name)[r * 5 : r * 5 + 5]], axis=2)
                for r in range(5)
            ],
            axis=1,
        )
        values[(slice(None), *hole)] = np.nan if name == "s1" else 255
        merged[name] = rewritten(Path(files(land, name)[0]), tmp_path / f"{name}.tif", lambda _, values=values: values)
    given = [part for name, path in merged.items() for part in (f"--{name}", path)]
    assert scene(run, land, tmp_path / "a.tif", *given, "--tile", 64, "--overlap", 16, sources=()) == 0
    expected = np.zeros((SIDE, SIDE), bool)
    expected[50:90, 100:180] = True
    with rasterio.open(tmp_path / "a.tif") as src:
        for band in src.read():
            np.testing.assert_array_equal(band == 65535, expected)


def test_the_grid_does_not_show_which_tiles_it_was_made_of(land, model):
    inputs, images = whole(land, info=model.info), []
    for shift in product((0, 64), repeat=2):
        plan = plan_tiles(SIDE, SIDE, tile=128, overlap=48, multiple=8, shift=shift)
        strips = blend_tiles(plan, tile_predictor(model, inputs, SceneOptions(tile=128, overlap=48)), 5)
        images.append(np.concatenate([s.values for s in strips], axis=1)[:4])
    for other in images[1:]:
        difference = np.abs(other - images[0])
        assert difference.max() > 0
        assert difference.mean() < 1e-3


def test_a_scene_that_ends_off_the_lattice_is_painted_to_its_end(tmp_path, land, run):
    with rasterio.open(files(land, "s1")[0]) as src:
        profile = src.profile | {"width": 201, "height": 133}
    with rasterio.open(tmp_path / "grid.tif", "w", **profile):
        pass
    assert scene(run, land, tmp_path / "a.tif", "--grid", tmp_path / "grid.tif", "--tile", 100, "--overlap", 30) == 0
    with rasterio.open(tmp_path / "a.tif") as src:
        assert src.shape == (133, 201)
        assert (src.read() != 65535).all()


def test_elevation_in_degrees_alone_gives_a_utm_grid_of_the_models_pixels(tmp_path, land, run):
    with rasterio.open(files(land, "dem")[0]) as src:
        heights = src.read([1])
    place = rasterio.Affine(1 / 3600, 0, 9.0, 0, -1 / 3600, 48.0)
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:4326",
        "transform": place,
        "count": 1,
        "dtype": "float32",
        "width": 64,
        "height": 64,
    }
    with rasterio.open(tmp_path / "dem.tif", "w", **profile) as dst:
        dst.write(heights)
    assert scene(run, land, tmp_path / "a.tif", "--dem", tmp_path / "dem.tif", sources=()) == 0
    with rasterio.open(tmp_path / "a.tif") as src:
        assert (src.crs.to_epsg(), src.res) == (32632, (10, 10))


def test_samples_differ_by_seed_and_spread_has_bands_of_its_own(tmp_path, land, run):
    for name, more in {
        "one": [],
        "std": ["--outputs", "mean,std"],
        "seed": ["--outputs", "mean,std", "--seed", 1],
    }.items():
        samples = ["--samples", 3] if more else []
        assert scene(run, land, tmp_path / f"{name}.tif", *more, *samples, "--tile", 192) == 0
    with (
        rasterio.open(tmp_path / "one.tif") as one,
        rasterio.open(tmp_path / "std.tif") as std,
        rasterio.open(tmp_path / "seed.tif") as seed,
    ):
        assert std.descriptions == ("blue", "green", "red", "nir", "blue_std", "green_std", "red_std", "nir_std")
        spread, mean = std.read([5, 6, 7, 8]) * 1e-4, std.read([1, 2, 3, 4]) * 1e-4
        assert spread.max() > 0
        assert np.abs(mean - one.read() * 1e-4).max() < 4 * spread.max()
        assert (std.read() != seed.read()).any()


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interrupted_scene_goes_on_and_ends_in_the_same_bytes(tmp_path, land, run, monkeypatch, capsys, stop_after):
    options = ["--tile", 96, "--overlap", 40]
    assert scene(run, land, tmp_path / "whole.tif", *options) == 0
    append, calls = RowFile.append, []

    def interrupted(self, rows):
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(rows.shape)
        append(self, rows)

    monkeypatch.setattr(RowFile, "append", interrupted)
    assert scene(run, land, tmp_path / "a.tif", *options) == 130
    assert not (tmp_path / "a.tif").exists()
    assert (tmp_path / "a.tif.partial").exists() == (stop_after > 0)
    monkeypatch.undo()
    if stop_after:
        with (tmp_path / "a.tif.partial" / "image.bil").open("ab") as file:
            file.write(b"half a row")
        assert scene(run, land, tmp_path / "a.tif", *options, "--seed", 1) == 2
        assert "an interrupted job with the same arguments" in capsys.readouterr().err
    assert scene(run, land, tmp_path / "a.tif", *options) == 0
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not (tmp_path / "a.tif.partial").exists()


@pytest.mark.parametrize("limit", [100_000, 900_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_under_the_final_name(tmp_path, land, run, capsys, limit):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (limit, before[1])
    )  # the rows need 819200 bytes, the result a little less
    try:
        code = scene(run, land, tmp_path / "a.tif", "--tile", 128)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if limit > 900_000 - 1:
        assert code == 0
        return
    assert code == 2
    assert "found a limit on file sizes" in capsys.readouterr().err
    assert not (tmp_path / "a.tif").exists()


def test_a_disk_that_fills_up_during_the_last_step_leaves_rows_to_go_on_with(tmp_path, land, run, capsys, monkeypatch):
    def truncated(source, target, **_):
        Path(target).write_bytes(b"II*\0")

    monkeypatch.setattr("rsspade.synthesis.cog.copy", truncated)
    assert scene(run, land, tmp_path / "a.tif", "--tile", 128) == 2
    assert "expected a disk that takes the whole file" in capsys.readouterr().err
    assert not (tmp_path / "a.tif").exists()
    monkeypatch.undo()
    monkeypatch.setattr(scene_module, "tile_predictor", lambda *_: None)  # no row is painted again
    assert scene(run, land, tmp_path / "a.tif", "--tile", 128) == 0


def test_a_map_between_schemes_is_applied(tmp_path, land, run):
    def to_esri(ids):
        return np.array([1, 2, 11, 4, 5, 11, 7, 8, 9] + [255] * 247, np.uint8)[ids]

    lulc = rewritten(Path(files(land, "lulc")[0]), tmp_path / "esri.tif", to_esri)
    options = ["--lulc", lulc, "--landcover-scheme", "esri_annual"]
    assert scene(run, land, tmp_path / "mapped.tif", *options, sources=()) == 0
    assert scene(run, land, tmp_path / "own.tif", "--lulc", files(land, "lulc")[0], sources=()) == 0
    with rasterio.open(tmp_path / "mapped.tif") as mapped, rasterio.open(tmp_path / "own.tif") as own:
        window = Window(0, 0, 64, 64)
        np.testing.assert_array_equal(mapped.read(window=window), own.read(window=window))


def test_a_source_that_covers_a_part_of_the_scene_is_told(tmp_path, land, run, capsys):
    tile = {name: Path(files(land, name)[0]) for name in ("s1", "dem")}
    radar = [value for path in files(land, "s1") for value in ("--s1", path)][1::2]
    assert scene(run, land, tmp_path / "a.tif", "--s1", *radar, "--dem", tile["dem"], sources=()) == 0
    told = capsys.readouterr().err
    assert re.search(r"dem holds values in \d+\.\d% of what was painted; the rest is made without it", told)
    assert "s1 holds" not in told
    assert scene(run, land, tmp_path / "b.tif", "--s1", tile["s1"], "--dem", tile["dem"], sources=()) == 0
    assert "holds values" not in capsys.readouterr().err


def test_radar_with_an_empty_band_is_refused(tmp_path, land, run, capsys):
    half = np.array([1, np.nan], np.float32)[:, None, None]
    radar = rewritten(files(land, "s1")[0], tmp_path / "s1.tif", lambda v: v * half)
    assert scene(run, land, tmp_path / "a.tif", "--s1", radar, sources=()) == 2
    assert "s1.tif: expected a radar image with vh with data, found nothing but nodata" in capsys.readouterr().err
