"""`rsspade world`: the dataset it writes, how it continues, and what it refuses."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.sources import SOURCES
from rsspade.world import build
from rsspade.world.build import WorldOptions, build_world
from rsspade.world.scene import SceneSpec, make_scene
from rsspade.world.variants import VARIANTS, WORLD_VERSION

RECORD = Path(__file__).parents[2] / "experiments" / "world_check" / "results.json"
SMALL = WorldOptions(scenes=3, tile_size=64, scene_size=128, seed=5, clouds=0.3, oracle=True)


def content(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return build_world(tmp_path_factory.mktemp("world") / "small", SMALL)


def test_the_folder_keeps_the_contract(world: DatasetFolder) -> None:
    assert len(world.rows) == 12
    assert {r.split for r in world.rows} == {"train", "val", "test"}
    assert {r.scene for r in world.rows} == {"w0000", "w0001", "w0002"}
    assert set(world.info.sources) == {"S2", "S1", "LULC", "DEM", "S2_CLOUDY", "CLOUD", "ORACLE"}
    assert world.info.landcover_scheme == "dynamic_world"
    made_by = world.info.made_by
    assert made_by["world"]["version"] == WORLD_VERSION
    assert len(made_by["world"]["pixel_sha256"]) == 64
    assert "workers" not in json.dumps(made_by)
    row = world.rows[0]
    gap = np.datetime64(row.s2_date) - np.datetime64(row.s1_date)
    assert abs(gap.astype(int)) <= 5


def test_the_sun_of_each_scene_is_recorded_as_it_shone(world: DatasetFolder) -> None:
    for index, scene in enumerate(("w0000", "w0001")):
        where = make_scene(SceneSpec(seed=5, variant="a", index=index, size=64)).conditions
        row = next(row for row in world.rows if row.scene == scene)
        assert world.sun(row.tile) == pytest.approx((where.sun_azimuth, where.sun_elevation), abs=0.01)


@pytest.mark.parametrize("name", ["s2", "s1", "lulc", "dem", "s2_cloudy", "cloud", "oracle"])
def test_tiles_are_georeferenced_tiled_and_described(world: DatasetFolder, name: str) -> None:
    source = SOURCES[name]
    for row in world.rows:
        with rasterio.open(world.tile_path(name, row.tile)) as src:
            assert src.descriptions == source.band_names
            assert src.profile["tiled"]
            assert src.profile["compress"] == "deflate"
            assert src.crs.to_string() == row.crs == "EPSG:32632"
            assert (src.transform.c, src.transform.f, src.transform.a, src.transform.e) == (
                row.x_min,
                row.y_max,
                10,
                -10,
            )
            assert src.nodata == source.nodata or np.isnan(src.nodata) == np.isnan(source.nodata)
            values = src.read()
        assert np.isfinite(values).all()
        for band, plane in zip(source.bands, values, strict=True):
            assert plane.min() >= band.lowest, (name, band.name)
            assert plane.max() <= band.highest, (name, band.name)


def test_the_cloud_share_of_a_tile_is_that_of_its_mask(world: DatasetFolder) -> None:
    for row in world.rows:
        assert row.cloud_fraction == pytest.approx((world.read("cloud", row.tile) > 0).mean(), abs=1e-4)
    assert np.mean([(world.read("cloud", r.tile) == 1).mean() for r in world.rows]) == pytest.approx(0.3, abs=0.01)


def test_neighbouring_tiles_have_no_seam_in_their_relief(world: DatasetFolder) -> None:
    left, right = (world.read("dem", f"w0001_r00_c0{c}")[1] for c in (0, 1))
    across = np.abs(right[:, 0] - left[:, -1]).mean()
    within = np.abs(np.diff(left, axis=1)).mean()
    assert across < 2.5 * within + 0.05


def test_another_seed_or_variant_makes_another_world(world: DatasetFolder, tmp_path: Path) -> None:
    hashes = {world.info.made_by["world"]["pixel_sha256"]}
    for n, change in enumerate(({"seed": 6}, {"variant": "b"})):
        options = WorldOptions(**{**SMALL.as_arguments(), **change})
        hashes.add(build_world(tmp_path / str(n), options).info.made_by["world"]["pixel_sha256"])
    assert len(hashes) == 3


def test_a_scene_does_not_depend_on_how_many_there_are(world: DatasetFolder, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="do not fill three splits"):
        fewer = build_world(tmp_path / "small", WorldOptions(**{**SMALL.as_arguments(), "scenes": 2, "oracle": False}))
    for row in fewer.rows:
        np.testing.assert_array_equal(fewer.read("s2", row.tile), world.read("s2", row.tile))


def test_an_interrupted_job_continues_to_the_same_bytes(
    world: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    work = build.write_scene

    def stop_in_the_third(folder: Path, options: WorldOptions, index: int) -> object:
        if index == 2:
            raise KeyboardInterrupt
        done.append(index)
        return work(folder, options, index)

    out = tmp_path / "small"
    monkeypatch.setattr(build, "write_scene", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        build_world(out, SMALL)
    assert not out.exists()
    assert (tmp_path / "small.partial").is_dir()
    monkeypatch.setattr(build, "write_scene", lambda *args: done.append(args[2]) or work(*args))
    build_world(out, SMALL)
    assert done == [0, 1, 2]
    assert content(out) == content(world.path)


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(world: DatasetFolder, tmp_path: Path) -> None:
    build_world(tmp_path / "small", SMALL, workers=2)
    assert content(tmp_path / "small") == content(world.path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_frozen_world_still_has_the_recorded_pixels(variant: str, tmp_path: Path) -> None:
    # Whoever changes a pixel raises WORLD_VERSION, runs `python -m experiments.world_check`, and reruns every table.
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["world"]["version"] == WORLD_VERSION
    made = build_world(tmp_path / "frozen", WorldOptions(**record["frozen"]["options"], variant=variant))
    assert made.info.made_by["world"]["pixel_sha256"] == record["frozen"]["pixel_sha256"][variant]


def test_a_processor_that_rounds_differently_makes_the_same_pixels(world: DatasetFolder, tmp_path: Path) -> None:
    # Without its vector units numpy takes other routes through exp, sin and sums, as on an older processor.
    info = np.show_config(mode="dicts")
    found = [f for f in info["SIMD Extensions"].get("found", []) if f != "X86_V2"]
    if not found:
        pytest.skip("this processor has no vector units that numpy could leave out")
    out = tmp_path / "small"
    script = (
        "import warnings; warnings.simplefilter('ignore');"
        "from pathlib import Path; import sys; from rsspade.world.build import *;"
        f"build_world(Path(sys.argv[1]), WorldOptions(**{SMALL.as_arguments()!r}))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    subprocess.run([sys.executable, "-c", script, str(out)], check=True, env=environment, capture_output=True)
    assert DatasetFolder.open(out).info.made_by["world"] == world.info.made_by["world"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scenes", "0"], "--scenes: expected 1 to"),
        (["--tile-size", "20"], "--tile-size: expected 64 to"),
        (["--tile-size", "100", "--scene-size", "256"], "--scene-size: expected a multiple of the tile size 100"),
        (["--scene-size", "64"], "--scene-size: expected a multiple of the tile size 128"),
        (["--clouds", "1.5"], "--clouds: expected a share between 0 and 1"),
        (["--clouds", "nan"], "--clouds: expected a share between 0 and 1"),
        (["--variant", "c"], "--variant: expected one of a, b"),
        (["--seed", "-1"], "--seed: expected a whole number from 0 on"),
        (["--workers", "0"], "--workers: expected 1 or more"),
    ],
)
def test_a_bad_option_is_one_line_and_writes_nothing(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", str(tmp_path / "out"), *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert complaint in message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text("mine")
    assert main(["world", str(tmp_path), "--scenes", "1"]) == 2
    assert "already holds files" in capsys.readouterr().err


def test_the_command_prints_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", str(tmp_path / "w"), "--scenes", "1", "--tile-size", "64", "--scene-size", "64"]) == 0
    printed = capsys.readouterr()
    assert str(tmp_path / "w") in printed.out
    assert "too few for three blocks" in printed.err
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"S2", "S1", "LULC", "DEM", "dataset.json", "tiles.csv"}


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "--help"]) == 0
    assert "rsspade world demo-data --scenes 6" in capsys.readouterr().out
