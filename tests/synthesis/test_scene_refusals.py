"""`rsspade scene` on bad input: one clear line, exit code 2, nothing written."""

import re
import shutil
from pathlib import Path

import pytest
import rasterio
from generate_runs import save_run
from scene_runs import files, rewritten, scene


@pytest.fixture
def land(scene_land):
    return scene_land


@pytest.fixture
def run(scene_run):
    return scene_run


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
    "a seed that is none": (lambda land, tmp: ["--seed", -1], ("s1",), r"--seed: expected a whole number from 0 on, found -1"),
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
