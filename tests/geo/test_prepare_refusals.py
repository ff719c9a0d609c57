"""`rsspade prepare` on bad input: one clear line, exit code 2, nothing half-written."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from filelock import FileLock
from rasterio.enums import ColorInterp
from scene_files import UTM, write_raster

from rsspade.cli import main
from rsspade.data import geotiff


def change(path: Path, **new) -> Path:
    """Write a raster again with other values or another profile."""
    with rasterio.open(path) as src:
        values, profile = src.read(), {"crs": src.crs, "transform_": src.transform, "nodata": src.nodata}
    values = new.pop("values", lambda v: v)(values)
    photometric = new.pop("photometric", None)
    write_raster(path, values, **(profile | new))
    if photometric is not None:
        with rasterio.open(path, "r+") as dst:
            dst.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
    return path


def cut_short(files):
    content = files["s1"].read_bytes()
    files["s1"].write_bytes(content[: len(content) // 2])


DAMAGES = {
    "a missing file": (lambda f: f["dem"].unlink(), r"dem\.tif: expected .* found no such file"),
    "a truncated file": (cut_short, r"s1\.tif: expected a readable raster"),
    "no CRS": (lambda f: change(f["lulc"], crs=None), r"lulc\.tif: expected a coordinate reference system, found none"),
    "no overlap": (
        lambda f: change(f["dem"], transform_=rasterio.Affine(10, 0, 100_000, 0, -10, 5_000_000)),
        r"dem\.tif: expected an overlap with s2 .* found dem at",
    ),
    "wrong band count": (lambda f: change(f["s2"], values=lambda v: v[:3]), r"s2\.tif: expected the bands blue, green, red, nir"),
    "one radar band": (lambda f: change(f["s1"], values=lambda v: v[:1]), r"s1\.tif: expected two bands \(vv, vh\)"),
    "an all-nodata scene": (lambda f: change(f["s2"], values=np.zeros_like), r"s2\.tif: expected .* data"),
    "class ids outside the scheme": (
        lambda f: change(f["lulc"], values=lambda v: v * 10),
        r"lulc\.tif: expected class ids of dynamic_world .* found ids 10, 40",
    ),
    "a few class ids outside the scheme": (
        lambda f: change(f["lulc"], values=lambda v: np.where(np.arange(v.size).reshape(v.shape) == 77, 99, v).astype("u1")),
        r"lulc\.tif: expected class ids of dynamic_world .* found ids 99",
    ),
    "elevation in feet": (lambda f: change(f["dem"], unit="ft"), r"dem\.tif: expected elevation in metres, found the unit 'ft'"),
    "elevation full of voids": (
        lambda f: change(f["dem"], nodata=None, values=lambda v: np.where(v > 300, -32768, v).astype("f4")),
        r"dem\.tif: expected heights .* found -32768 in \d",
    ),
    "radar in power passed as dB": (
        lambda f: change(f["s1"], values=lambda v: (10 ** (v / 10)).astype("f4")),
        r"s1\.tif: expected radar in dB",
        "--s1-unit", "db",
    ),
    "radar in dB passed as power": (lambda f: None, r"s1\.tif: expected .*power", "--s1-unit", "power"),
    "a bright scene whose offset nobody can tell": (
        lambda f: change(f["s2"], values=lambda v: (v * 0 + 3000 + np.arange(256)).astype("u2")),
        r"s2\.tif: expected .* --s2-offset",
    ),
    "an offset for what is reflectance": (
        lambda f: change(f["s2"], values=lambda v: (v / 10000).astype("f4")),
        r"s2\.tif: expected digital numbers, to which --s2-offset -1000 can be added, found reflectance",
        "--s2-offset", "-1000",
    ),
    "red before blue, as the file says": (
        lambda f: change(f["s2"], photometric="RGB"), r"s2\.tif: expected the bands blue, green, red, nir, found red, green, blue",
    ),
    "a name that is too long": (lambda f: f.update(dem=f["dem"].parent / ("a" * 300)), r"a: expected a raster file .* found file name too long"),
    "the web's metres": (
        lambda f: f.update(grid=change(f["dem"], crs="EPSG:3857", transform_=rasterio.Affine(10, 0, 1e6, 0, -10, 6.2e6))),
        r"dem\.tif: expected a grid of square pixels in metres, found .*EPSG:3857, in which a metre on the ground is 1\.5\d long",
    ),
    "a map that does not exist": (lambda f: None, r"dynamic_world_to_igbp: expected a named map", "--landcover-to", "igbp"),
    "a band that the file lacks": (lambda f: None, r"s2\.tif: expected the bands blue, swir16", "--s2-bands", "blue,B11"),
    "a tile larger than the scene": (lambda f: None, r"scene s2: expected an area of at least one tile \(512 px\)", "--tile-size", 512),
    "an option out of range": (lambda f: None, r"--min-valid: expected", "--min-valid", 1.5),
    "a seed that is none": (lambda f: None, r"--seed: expected a whole number from 0 on, found -1", "--seed", -1),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_bad_input_ends_in_one_line_and_leaves_nothing(tmp_path, make_scene_files, capsys, name):
    damage, message, *options = DAMAGES[name]
    files = make_scene_files(tmp_path / "in")
    damage(files)
    arguments = [a for n, p in files.items() for a in (f"--{n}", str(p))]
    arguments += [
        "--landcover-scheme",
        "dynamic_world",
        "--tile-size",
        "64",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["prepare", *arguments, *map(str, options)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0]), lines[0]
    assert lines[0].endswith("."), lines[0]  # the last sentence says what to do
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.fixture
def command(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    given = [a for n, p in files.items() for a in (f"--{n}", str(p))]
    return [
        "prepare",
        *given,
        "--landcover-scheme",
        "dynamic_world",
        "--tile-size",
        "64",
        "--split",
        "1:0:0",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]


def test_a_folder_that_holds_a_dataset_is_refused_and_left_alone(tmp_path, command, capsys):
    assert main(command) == 0
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*"))
    assert main(command) == 2
    assert "expected a new folder, found one that already holds a dataset" in capsys.readouterr().err
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*")) == before


def test_two_runs_into_one_folder_are_refused(tmp_path, command, capsys):
    (tmp_path / "out.partial").mkdir()
    with FileLock(tmp_path / "out.partial" / ".lock"):
        assert main(command) == 2
    assert "expected a folder that no other run is writing" in capsys.readouterr().err
    assert main(command) == 0


def test_an_interrupted_job_with_other_arguments_is_refused(tmp_path, command, capsys, monkeypatch):
    def fail(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr("rsspade.geo.prepare.write_tile", fail)
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "job.json").write_text('{"command": "prepare", "settings": {"tile_size": 128}}')
    assert main(command) == 2
    assert "expected an interrupted job with the same arguments" in capsys.readouterr().err


def test_a_full_disk_is_said_plainly_and_the_job_continues_afterwards(tmp_path, command, capsys, monkeypatch):
    real, calls = Path.write_bytes, []

    def full_after_five(path, content):
        calls.append(path)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, content)

    monkeypatch.setattr(geotiff.Path, "write_bytes", full_after_five)
    assert main(command) == 2
    line = capsys.readouterr().err.strip()
    assert "expected free space on the disk, found none left" in line
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert main(command) == 0
    assert len(list((tmp_path / "out" / "S2").glob("*.tif"))) == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s2,s1\na,b\n", "expected columns out of scene"),
        ("scene,s2,slope\na,b,c\n", "found slope"),
        ("scene,s2\n", "expected at least one scene, found none"),
        ("scene,s2\nx,a.tif\nx,b.tif\n", "expected each scene once"),
        ("scene,s2,s2_date\nx,a.tif,01.06.2023\n", "expected a date as YYYY-MM-DD"),
        ("scene,s2\nx,\n", "expected at least one of --s2"),
    ],
)
def test_a_bad_table_of_scenes_is_refused(tmp_path, capsys, text, message):
    (tmp_path / "scenes.csv").write_text(text)
    assert main(["prepare", "--scenes", str(tmp_path / "scenes.csv"), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer_is_refused(tmp_path, command, capsys):
    # A port on this machine that nobody listens on.
    assert main([*command, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "--scheduler: expected the address of a running Dask scheduler" in capsys.readouterr().err


def test_the_command_explains_itself(capsys):
    assert main(["prepare", "--help"]) == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert UTM not in text


def test_a_cloud_mask_whose_clear_pixels_are_nodata_is_refused(tmp_path, make_scene_files, capsys):
    files = make_scene_files(tmp_path / "in")
    mask = (np.random.default_rng(0).random((1, 256, 256)) < 0.2).astype("u1")
    with rasterio.open(files["s2"]) as src:
        clouds = write_raster(tmp_path / "in" / "clouds.tif", mask, crs=UTM, transform_=src.transform, nodata=0)
    given = [
        "prepare",
        "--s2",
        str(files["s2"]),
        "--cloud-mask",
        str(clouds),
        "--tile-size",
        "64",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "clouds.tif: expected a mask in which 0 is clear, found 0 declared as nodata" in told
    assert "rio edit-info --unset-nodata" in told
