"""Whole scenes: the map lies where the image lies, and tiles leave no seam."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from rsspade.channels import num_channels
from rsspade.landcover import scheme_named
from segmentation import predict
from segmentation.models import Segmenter, SegmenterConfig, SegmenterInfo, build_segmenter

BANDS = ("blue", "green", "red", "nir")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = SegmenterConfig(sources={"s2": 4}, num_classes=9, base_width=2, depth=2)
    info = SegmenterInfo(architecture=config, bands={"s2": BANDS}, landcover_scheme="dynamic_world", pixel_size_m=10.0)
    folder = tmp_path_factory.mktemp("run") / "model"
    Segmenter(build_segmenter(config), info).save_pretrained(folder)
    return folder


@pytest.fixture
def scene(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.uniform(0.02, 0.4, (4, 150, 200)).astype(np.float32)
    values[:, :20, :30] = np.nan
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "dtype": "float32", "count": 4, "height": 150, "width": 200, "nodata": float("nan")}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=from_origin(500000, 5400000, 10, 10), **profile) as out:
        out.write(values)
        out.descriptions = BANDS
    return path


def draw(run, scene, out, *words):
    return predict.main(["--run", str(run), "--s2", str(scene), "--out", str(out), "--s2-offset", "0", *words])


def test_the_map_has_the_grid_the_colours_and_the_gaps_of_its_image(run, scene, tmp_path):
    assert draw(run, scene, tmp_path / "map.tif", "--tile", "96", "--overlap", "32") == 0
    with rasterio.open(tmp_path / "map.tif") as drawn, rasterio.open(scene) as image:
        ids = drawn.read(1)
        assert (drawn.crs, drawn.transform, drawn.shape) == (image.crs, image.transform, image.shape)
        assert drawn.colormap(1)[1] == scheme_named("dynamic_world").colormap()[1]
        assert drawn.tags()["class_1"] == "trees"
        assert drawn.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert np.array_equal(ids == 255, np.isnan(image.read(1)))
    assert set(np.unique(ids)) <= {*scheme_named("dynamic_world").ids, 255}


def test_one_tile_is_what_the_network_says_and_many_say_nearly_the_same(run, scene, tmp_path):
    with rasterio.open(scene) as image:
        values = torch.from_numpy(image.read())[None]
    padded = torch.nn.functional.pad(torch.nan_to_num(values, nan=float("nan")), (0, 56, 0, 106), mode="reflect")
    whole = Segmenter.from_pretrained(run).classify({"s2": padded})[0, :150, :200].numpy()
    for tile, least in ((256, 0.98), (96, 0.95)):
        out = tmp_path / f"{tile}.tif"
        assert draw(run, scene, out, "--tile", str(tile), "--overlap", "48") == 0
        with rasterio.open(out) as drawn:
            ids = drawn.read(1)
        known = ids != 255
        assert (ids == whole)[known].mean() > least


def test_a_strip_of_one_pixel_is_a_scene_too(run, scene, tmp_path):
    with rasterio.open(scene) as image:
        values, profile = image.read(), image.profile
    for height, width in ((1, 200), (150, 1)):
        strip = tmp_path / f"{height}x{width}.tif"
        with rasterio.open(strip, "w", **profile | {"height": height, "width": width}) as out:
            out.write(values[:, -height:, -width:])
            out.descriptions = BANDS
        assert draw(run, strip, tmp_path / f"map_{strip.name}") == 0
        with rasterio.open(tmp_path / f"map_{strip.name}") as drawn:
            assert drawn.shape == (height, width)


def test_where_there_is_no_image_elevation_alone_draws_no_map(scene, tmp_path):
    torch.manual_seed(0)
    config = SegmenterConfig(sources={"s2": 4, "dem": num_channels("dem")}, num_classes=9, base_width=2, depth=2)
    info = SegmenterInfo(
        architecture=config, bands={"s2": BANDS, "dem": ("elevation", "slope")}, landcover_scheme="dynamic_world",
        pixel_size_m=10.0,
    )  # fmt: skip
    Segmenter(build_segmenter(config), info).save_pretrained(tmp_path / "both")
    with rasterio.open(scene) as image:
        missing = np.isnan(image.read(1))
        profile = image.profile | {"count": 1, "nodata": None}
    with rasterio.open(tmp_path / "dem.tif", "w", **profile) as out:
        out.write(np.linspace(100, 900, missing.size, dtype=np.float32).reshape(1, *missing.shape))
    assert draw(tmp_path / "both", scene, tmp_path / "map.tif", "--dem", str(tmp_path / "dem.tif")) == 0
    with rasterio.open(tmp_path / "map.tif") as drawn:
        assert np.array_equal(drawn.read(1) == 255, missing)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tile", "32"], "--tile: expected at least 64 pixels, found 32"),
        (["--overlap", "256"], "--overlap: expected 0 to 255 pixels"),
        (["--s1", "radar.tif"], "Leave out --s1."),
        (["--out", "map.png"], "a name that ends in .tif"),
        (["--run", "nowhere"], "Name a finished run"),
        (["--s2", "nowhere.tif"], "nowhere.tif"),
    ],
)
def test_a_mistake_is_one_line(capsys, run, scene, tmp_path, words, expected):
    given = {"--run": str(run), "--s2": str(scene), "--out": str(tmp_path / "map.tif")} | {words[0]: words[1]}
    assert predict.main([part for pair in given.items() for part in pair]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert expected in err
    assert not list(tmp_path.glob("map.tif*"))
