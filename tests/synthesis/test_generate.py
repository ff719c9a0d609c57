"""`rsspade generate`: a whole dataset, the same whatever way it was made."""

import hashlib
import json
import shutil
import warnings

import numpy as np
import pytest
import rasterio
import torch
from generate_runs import generate, images, pixels, save_run, tags
from hypothesis import given
from hypothesis import strategies as st

from rsspade import __version__
from rsspade.cli import main
from rsspade.data.check import check_dataset
from rsspade.data.check_report import Level
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, split_sha256
from rsspade.data.torch_dataset import TileDataset
from rsspade.metrics import DISPLAY, psnr
from rsspade.models import RSSpade
from rsspade.sources import S1, S2
from rsspade.synthesis.generate_tiles import quantise


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(make_dataset, tmp_path_factory):
    """Half of the tiles train; s0_0_0 never had a clear optical image, s1_0_1 has no radar."""
    missing = [("S2", "s0_0_0"), ("S1", "s1_0_1")]
    return make_dataset(tmp_path_factory.mktemp("generate") / "data", scenes=6, missing=missing)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my-run"
    save_run(folder, variety=4)
    return folder


@pytest.fixture(scope="module")
def made(run, data, tmp_path_factory):
    """All splits, the deterministic images."""
    folder = tmp_path_factory.mktemp("made") / "all"
    assert generate(run, data.path, folder, "--split", "all") == 0
    return DatasetFolder.open(folder)


def test_a_synthetic_train_split_is_a_whole_dataset(run, data, tmp_path, capsys):
    assert generate(run, data.path, tmp_path / "out") == 0
    assert f"Wrote {tmp_path / 'out'}" in capsys.readouterr().out
    made = DatasetFolder.open(tmp_path / "out")
    parents = {row.tile: row for row in data.in_split("train")}
    assert {row.tile for row in made.rows} == set(parents)
    for row in made.rows:
        parent = parents[row.tile]
        assert (row.synthetic, row.parent, row.parent_split, row.split) == (True, row.tile, "train", "train")
        assert (row.scene, row.crs, row.x_min, row.s1_date) == (parent.scene, parent.crs, parent.x_min, parent.s1_date)
    assert made.info.statistics == data.info.statistics
    assert made.info.split["sha256"] == split_sha256(made.rows)
    report = check_dataset(made.path)
    assert not report.failed, report.to_text()
    assert [f.check for f in report.findings if f.level >= Level.WARNING and f.check.startswith("split")] == []


def test_the_torch_reader_reads_every_tile(made):
    tiles = TileDataset(made, split=None)
    assert len(tiles) == len(made.rows)
    assert all(bool(tiles[n].optical_valid.all()) for n in range(len(tiles)))
    assert tiles.statistics == made.info.statistics


def test_the_image_is_the_model_s_on_the_tile_s_grid_to_half_a_digital_number(made, run, data):
    model = RSSpade.from_pretrained(run)
    tile = data.in_split("train")[0].tile
    held = [n for n in ("s1", "lulc", "dem") if data.has(n, tile)]
    expected = model({n: torch.from_numpy(data.read(n, tile)) for n in held})
    assert np.abs(pixels(made.tile_path("s2", tile)) - expected.numpy()).max() <= 0.501e-4
    with rasterio.open(made.tile_path("s2", tile)) as new, rasterio.open(data.tile_path("dem", tile)) as old:
        assert (new.crs, new.transform) == (old.crs, old.transform)
        assert (new.descriptions, new.dtypes[0]) == (("blue", "green", "red", "nir"), "float32")
        assert np.isnan(new.nodata)


def test_real_sources_are_carried_along_and_nothing_else(made, data):
    assert {p.name for p in made.path.iterdir() if p.is_dir()} - {".packed"} == {"S1", "S2", "LULC", "DEM"}
    for row in data.rows:
        for name in ("s1", "lulc", "dem"):
            assert made.has(name, row.tile) == data.has(name, row.tile)
            if data.has(name, row.tile):
                assert made.tile_path(name, row.tile).samefile(data.tile_path(name, row.tile))


def test_without_hard_links_the_sources_are_copied(run, data, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    assert generate(run, data.path, tmp_path / "out") == 0
    for path in (tmp_path / "out" / "DEM").iterdir():
        original = data.path / "DEM" / path.name
        assert not path.samefile(original)
        assert path.read_bytes() == original.read_bytes()


def test_every_image_says_where_it_comes_from_and_how_good_it_is(made, data, run):
    digest = hashlib.sha256((run / "generator" / "model.safetensors").read_bytes()).hexdigest()
    told = json.loads((made.path / "dataset.json").read_text())["made_by"]
    assert (told["version"], told["command"]) == (__version__, "generate")
    assert (told["generator"]["run"], told["generator"]["weights_sha256"]) == ("my-run", digest)
    assert told["parent"] == {"name": data.info.name, "split_sha256": data.info.split["sha256"]}
    everything = (made.path / "dataset.json").read_text() + str(tags(made.tile_path("s2", "s0_0_1")))
    assert str(run.parent) not in everything  # names, no paths
    for row in made.rows:
        found = tags(made.tile_path("s2", row.tile))
        assert (found["run"], found["weights_sha256"], found["seed"]) == ("my-run", digest, "0")
        assert (found["software"], found["sample"], found["synthetic"]) == (f"rsspade {__version__}", "1", "1")
        assert found["sources"] == ("lulc,dem" if row.tile == "s1_0_1" else "s1,lulc,dem")
        assert (found["parent"], found["parent_split"]) == (row.parent, row.parent_split)
        if row.tile == "s0_0_0":  # no real image to compare with
            assert "psnr" not in found
            continue
        pair = (torch.from_numpy(d.read("s2", row.tile))[None] for d in (made, data))
        score = psnr(*(DISPLAY.apply(image) for image in pair), torch.ones(1, 64, 64, dtype=torch.bool)).item()
        assert float(found["psnr"]) == pytest.approx(score, abs=1e-3)
        assert told["quality"]["images"][row.tile]["psnr"] == pytest.approx(score, abs=1e-3)
        assert {"ssim", "sam_rad"} <= found.keys()


@pytest.mark.parametrize("samples", [1, 2])
def test_the_same_call_gives_the_same_bytes_and_another_batch_the_same_numbers(run, data, tmp_path, samples):
    for name, size in (("one", 8), ("again", 8), ("single", 1)):
        assert generate(run, data.path, tmp_path / name, "--samples", samples, "--batch-size", size) == 0
    one, again, single = (tmp_path / name for name in ("one", "again", "single"))
    assert images(one) == images(again)
    for name in ("dataset.json", "tiles.csv"):
        assert (one / name).read_bytes() == (again / name).read_bytes()
    for path in (one / "S2").iterdir():
        assert np.abs(pixels(path) - pixels(single / "S2" / path.name)).max() <= 1.01e-4


def test_several_samples_differ_by_seed_and_number_and_their_variety_is_told(run, data, tmp_path, capsys):
    for name, seed in (("first", 0), ("other", 1)):
        assert generate(run, data.path, tmp_path / name, "--samples", 3, "--seed", seed) == 0
    shown = capsys.readouterr().out
    first = DatasetFolder.open(tmp_path / "first")
    parents = [row.tile for row in data.in_split("train")]
    assert [row.tile for row in first.rows] == [f"{tile}__n{n:02d}" for tile in sorted(parents) for n in (1, 2, 3)]
    assert {row.parent for row in first.rows} == set(parents)
    hashes = {*images(first.path).values(), *images(tmp_path / "other").values()}
    drawn = [pixels(first.tile_path("s2", row.tile)) for row in first.rows]
    assert len({d.tobytes() for d in drawn}) == len(drawn) == len(hashes) / 2
    found = json.loads((first.path / "dataset.json").read_text())["made_by"]
    assert found["diversity"]["pairwise_distance"] > 0
    assert {"spread_rmse_ratio", "rank_correlation"} <= found["diversity"].keys()
    words = (
        "evaluate",
        "--run",
        run,
        "--data",
        data.path,
        "--split",
        "train",
        "--samples",
        3,
        "--json",
        tmp_path / "scores.json",
    )
    assert main([str(word) for word in words]) == 0  # the same draws, or as many: balanced in both
    scored = json.loads((tmp_path / "scores.json").read_text())["variety"]["spread_rmse_ratio"]
    assert found["diversity"]["spread_rmse_ratio"] == pytest.approx(scored, rel=0.02)
    assert set(found["quality"]) == {"single", "mean", "images"}
    assert all(w in shown for w in ("diversity: mean distance", "spread/RMSE", "rank correlation", "the mean of 3"))
    assert tags(first.tile_path("s2", f"{parents[0]}__n02"))["sample"] == "2"
    report = check_dataset(first.path)
    assert not report.failed, report.to_text()


def test_what_is_not_among_the_sources_does_not_matter(run, data, tmp_path):
    shutil.copytree(data.path, tmp_path / "data", ignore=shutil.ignore_patterns(".packed"))
    for path in (tmp_path / "data" / "S1").iterdir():
        with rasterio.open(path) as src:
            profile, noise = src.profile, np.random.default_rng(1).uniform(-20, -5, src.read().shape)
        write_tile(path, noise.astype(np.float32), S1, crs=profile["crs"], transform=profile["transform"])
    for name, where in (("plain", data.path), ("noisy", tmp_path / "data")):
        assert generate(run, where, tmp_path / name, "--sources", "dem,lulc") == 0
    assert images(tmp_path / "plain") == images(tmp_path / "noisy")
    assert tags(next((tmp_path / "plain" / "S2").iterdir()))["sources"] == "lulc,dem"


def test_tiles_without_any_of_the_sources_are_left_out_and_counted(run, data, tmp_path, capsys):
    assert generate(run, data.path, tmp_path / "out", "--sources", "s1", "--split", "all") == 0
    assert f"warning: 1 of {len(data.rows)} tiles hold none of s1 and are left out." in capsys.readouterr().err
    assert "s1_0_1" not in images(tmp_path / "out")


def test_there_is_no_image_where_no_source_has_data(run, data, tmp_path):
    shutil.copytree(data.path, tmp_path / "data", ignore=shutil.ignore_patterns(".packed"))
    tile = next(row.tile for row in data.in_split("train") if data.has("s1", row.tile))
    values = data.read("s1", tile)
    values[:, :5] = np.nan
    with rasterio.open(data.tile_path("s1", tile)) as src:
        write_tile(tmp_path / "data" / "S1" / f"{tile}.tif", values, S1, crs=src.crs, transform=src.transform)
    assert generate(run, tmp_path / "data", tmp_path / "out", "--sources", "s1") == 0
    empty = np.isnan(pixels(tmp_path / "out" / "S2" / f"{tile}.tif"))
    assert empty[:, :5].all()
    assert not empty[:, 5:].any()
    row = next(row for row in DatasetFolder.open(tmp_path / "out").rows if row.tile == tile)
    assert row.valid_fraction == pytest.approx(59 / 64, abs=1e-4)
    assert not check_dataset(tmp_path / "out").failed


def test_data_without_any_optical_image_are_what_it_is_for(run, make_dataset, tmp_path, capsys):
    blind = make_dataset(tmp_path / "data", sources=("S1", "DEM"))
    assert generate(run, blind.path, tmp_path / "out") == 0
    assert "no tile holds a clear real image" in capsys.readouterr().out
    made = DatasetFolder.open(tmp_path / "out")
    assert (list(made.info.sources), made.optical_bands) == (["S2", "S1", "DEM"], ("blue", "green", "red", "nir"))
    assert not check_dataset(made.path).failed
    assert len(TileDataset(made, sources=["s1"])) == len(blind.in_split("train"))


def test_a_clouded_tile_gets_a_clear_image_and_loses_its_mask(run, make_dataset, tmp_path):
    clouded = make_dataset(tmp_path / "data", clouds=True)
    assert generate(run, clouded.path, tmp_path / "out") == 0
    made = DatasetFolder.open(tmp_path / "out")
    assert set(made.info.sources) == {"S2", "S1", "LULC", "DEM"}
    assert {row.cloud_fraction for row in made.rows} == {0.0}
    assert not check_dataset(made.path).failed


def test_a_synthetic_image_is_no_truth_and_its_parent_stays_the_real_tile(run, made, tmp_path):
    assert generate(run, made.path, tmp_path / "out", "--samples", 2) == 0
    rows = DatasetFolder.open(tmp_path / "out").rows
    assert {row.parent for row in rows} == {row.tile for row in made.in_split("train")}
    assert "psnr" not in tags(tmp_path / "out" / "S2" / f"{rows[0].tile}.tif")


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40))
def test_reflectance_is_stored_in_whole_digital_numbers(values):
    given_values = torch.tensor(values)
    stored = quantise(given_values, S2)
    clipped = given_values.clamp(-0.2, 2.5)
    assert float((stored - clipped).abs().max()) <= 0.501e-4
    assert torch.equal(quantise(stored, S2), stored)
    counts = np.round(stored.double().numpy() * 10_000)
    assert np.array_equal(stored.numpy(), (counts / 10_000).astype(np.float32))


def test_check_tells_that_the_run_fits_what_it_made(run, made, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["check", str(made.path), "--run", str(run)]) == 0
    assert "Fit with the run my-run" in capsys.readouterr().out
