"""`rsspade scene`: one seamless GeoTIFF, on the pixels of its sources."""

import re
import resource
import shutil
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


@pytest.fixture(scope="module")
def land(tmp_path_factory, make_dataset):
    """Scenes of 320 × 320 px in tiles of 64 px (of a single one, tiles between the splits would be left out)."""
    folder = tmp_path_factory.mktemp("scene") / "land"
    make_dataset(folder, scenes=3, grid=(5, 5))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, variety=4, pixel_size_m=10.0)
    return folder


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


def far_away(land, tmp_path):
    place = rasterio.Affine(10, 0, 100_000, 0, -10, 5_000_000)
    return [
        "--s1",
        rewritten(Path(files(land, "s1")[0]), tmp_path / "far.tif", lambda v: v, transform=place),
        "--lulc",
        *files(land, "lulc"),
    ]


REFUSALS = {
    "no source": (lambda land, tmp: [], (), r"scene: expected at least one of --s1, --lulc, --dem, found none"),
    "no overlap": (far_away, (), r"s0_0_0\.tif: expected an overlap with the scene .* found lulc at"),
    "a scheme without a map": (lambda land, tmp: ["--landcover-scheme", "rs_spade_h1"], ("lulc",), r"rs_spade_h1_to_dynamic_world: expected a named map"),
    "classes outside the scheme": (lambda land, tmp: ["--landcover-scheme", "worldcover"], ("lulc",), r"expected class ids of worldcover"),
    "a unit that is not": (lambda land, tmp: ["--s1-unit", "power"], ("s1",), r"expected .*power"),
    "fill without mask": (lambda land, tmp: ["--fill", "x.tif"], ("s1",), r"--mask: expected a file beside --fill, found none"),
    "mask without fill": (lambda land, tmp: ["--mask", "x.tif"], ("s1",), r"--fill: expected a file beside --mask, found none"),
    "overlap as wide as the tile": (lambda land, tmp: ["--tile", 64, "--overlap", 64], ("s1",), r"--overlap: expected 0 to 63 pixels"),
    "a tile that is too small": (lambda land, tmp: ["--tile", 32], ("s1",), r"--tile: expected at least 64 pixels, found 32"),
    "a folder that does not exist": (lambda land, tmp: ["--out", tmp / "no" / "a.tif"], ("s1",), r"expected a file in a folder that exists"),
    "another kind of file": (lambda land, tmp: ["--out", tmp / "a.png"], ("s1",), r"expected a name that ends in \.tif"),
    "another output": (lambda land, tmp: ["--outputs", "median"], ("s1",), r"--outputs: expected mean or mean,std, found 'median'"),
    "spread of one sample": (lambda land, tmp: ["--outputs", "mean,std", "--samples", 1], ("s1",), r"--samples: expected at least 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_work_ends_in_one_line_and_leaves_nothing(tmp_path, land, run, capsys, name):
    more, sources, message = REFUSALS[name]
    options = more(land, tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert scene(run, land, tmp_path / "a.tif", *options, sources=sources) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0]), lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_damaged_run_is_refused(tmp_path, land, run, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    weights = broken / "generator" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert scene(broken, land, tmp_path / "a.tif") == 2
    assert scene(tmp_path / "nothing", land, tmp_path / "a.tif") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "model.safetensors" in lines[0]
    assert "expected a run folder" in lines[1]


def test_what_the_generator_was_not_trained_for_is_refused(tmp_path, land, capsys):
    save_run(tmp_path / "radar", sources=("s1",), pixel_size_m=10.0)
    assert scene(tmp_path / "radar", land, tmp_path / "a.tif", sources=("s1", "dem")) == 2
    assert scene(tmp_path / "radar", land, tmp_path / "a.tif", "--samples", 4, sources=("s1",)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "--dem: expected sources that the generator was trained with (--s1)" in lines[0]
    assert "--samples: expected 1, since this generator was trained without variety" in lines[1]


def test_an_existing_result_is_left_alone(tmp_path, land, run, capsys):
    (tmp_path / "a.tif").write_text("precious")
    assert scene(run, land, tmp_path / "a.tif") == 2
    assert "expected a new file, found a file" in capsys.readouterr().err
    assert (tmp_path / "a.tif").read_text() == "precious"


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
