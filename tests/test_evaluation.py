"""`rsspade evaluate`: the scores of a generator, and what it refuses to score."""

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.channels import num_channels
from rsspade.cli import main
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder, of_another_split
from rsspade.data.torch_dataset import TileDataset
from rsspade.evaluation import evaluate_baselines
from rsspade.landcover import scheme_named
from rsspade.metrics import DISPLAY, psnr
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator
from rsspade.sources import ORACLE


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("evaluation") / "data", clouds=True).path


def save_model(folder, *, scheme="dynamic_world", bands=("blue", "green", "red", "nir"), sources=("s1", "lulc", "dem")):
    torch.manual_seed(0)
    channels = {name: num_channels(name, scheme=scheme_named(scheme)) for name in sources}
    architecture = GeneratorConfig(sources=channels, optical_bands=bands, base_width=4, depth=3)
    model = RSSpade(
        build_generator(architecture), GeneratorInfo(architecture=architecture, landcover_scheme=scheme)
    ).eval()
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_model(folder / "generator")
    return folder


def scores(run, data, tmp_path, *more):
    assert main(["evaluate", "--run", str(run), "--data", str(data), "--json", str(tmp_path / "s.json"), *more]) == 0
    return json.loads((tmp_path / "s.json").read_text())


def test_the_file_holds_what_was_promised_and_the_table_is_shown(run, data, tmp_path, capsys):
    found = scores(run, data, tmp_path, "--csv", str(tmp_path / "t.csv"))
    promised = (
        "psnr ssim sam_rad sam_deg mae rmse ergas per_band reflectance clipped tiles split split_sha256 sources model"
    )
    assert set(promised.split()) <= set(found)
    assert {"psnr", "ssim", "sam_rad"} <= set(found["reflectance"])
    dataset = DatasetFolder.open(data)
    assert (found["split"], found["split_sha256"]) == ("test", dataset.info.split["sha256"])
    assert (found["tiles"], found["sources"], found["model"]) == (
        len(dataset.in_split("test")),
        ["s1", "lulc", "dem"],
        "rs_spade",
    )
    assert set(found["baselines"]) == {"class_mean", "copy_of_input"}
    assert found["baselines"]["class_mean"]["psnr"] > found["psnr"]  # the network is not trained
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["tile"] for row in rows] == [row.tile for row in dataset.in_split("test")]
    assert np.mean([float(row["psnr"]) for row in rows]) == pytest.approx(found["psnr"])
    shown = capsys.readouterr().out
    assert all(
        text in shown
        for text in ("rs_spade from s1,lulc,dem", "class-mean image", "copy of the clouded input", "s.json")
    )


def test_answers_without_a_network_have_the_same_scores_with_and_without_a_model_beside_them(run, data, tmp_path):
    alone = evaluate_baselines(DatasetFolder.open(data), Accelerator(cpu=True), split="val", batch_size=1)
    summaries = {name: found.summary for name, found in alone.items()}
    assert summaries == scores(run, data, tmp_path, "--split", "val", "--batch-size", "1")["baselines"]


def test_a_subset_is_scored_as_the_model_paints_it(run, data, tmp_path):
    model = RSSpade.from_pretrained(run / "generator")
    tiles = TileDataset(DatasetFolder.open(data), split="val", sources=["dem", "s1"], random_crops=False)
    by_hand = []
    for n in range(len(tiles)):
        sample = tiles[n]
        image = model({"s1": sample.sources["s1"], "dem": sample.sources["dem"]})
        pair = DISPLAY.apply(image[None]), DISPLAY.apply(sample.optical[None])
        by_hand.append(psnr(*pair, sample.optical_valid[None]).item())
    found = scores(run, data, tmp_path, "--split", "val", "--sources", "dem,s1")
    assert found["sources"] == ["s1", "dem"]
    assert found["psnr"] == pytest.approx(np.mean(by_hand), abs=1e-4)


def test_a_tile_that_lacks_a_source_is_scored_as_the_model_paints_without_it(run, make_dataset, tmp_path):
    whole = make_dataset(tmp_path / "whole")
    lost = whole.in_split("train")[1].tile
    part = make_dataset(tmp_path / "part", missing=[("DEM", lost)])

    def row(data, *more):
        scores(run, data.path, tmp_path, "--split", "train", "--csv", str(tmp_path / "t.csv"), *more)
        with (tmp_path / "t.csv").open() as file:
            return {row["tile"]: float(row["psnr"]) for row in csv.DictReader(file)}

    found, complete, without = row(part), row(whole), row(whole, "--sources", "s1,lulc")
    assert found.pop(lost) == pytest.approx(without[lost], abs=1e-4)
    assert abs(complete.pop(lost) - without[lost]) > 1e-3
    assert found == pytest.approx(complete, abs=1e-4)


def test_tiles_with_nothing_to_paint_from_are_left_out_and_counted(run, make_dataset, tmp_path, capsys):
    whole = make_dataset(tmp_path / "whole")
    lost, *kept = (row.tile for row in whole.in_split("test"))
    part = make_dataset(tmp_path / "part", missing=[("S1", lost)]).path
    words = ("--sources", "s1", "--csv", str(tmp_path / "t.csv"))
    found = scores(run, part, tmp_path, *words)
    assert (found["tiles"], found["tiles_without_sources"], found["tiles_without_pixels"]) == (len(kept), 1, 0)
    assert found["baselines"]["class_mean"]["tiles"] == len(kept)
    assert f"warning: 1 of {len(kept) + 1} tiles hold none of s1 and are left out" in capsys.readouterr().err
    with (tmp_path / "t.csv").open() as file:
        assert [row["tile"] for row in csv.DictReader(file)] == kept
    assert scores(run, part, tmp_path, "--sources", "s1,dem")["tiles_without_sources"] == 0


def test_a_split_with_nothing_to_paint_from_is_refused(run, make_dataset, tmp_path, capsys):
    lost = [("S1", row.tile) for row in make_dataset(tmp_path / "whole").in_split("test")]
    part = make_dataset(tmp_path / "part", missing=lost).path
    assert main(["evaluate", "--run", str(run), "--data", str(part), "--sources", "s1"]) == 2
    assert (
        "expected tiles with one of s1 in the split test, found none. Choose other --sources" in capsys.readouterr().err
    )


def test_the_batch_size_changes_no_score(run, data, tmp_path):
    one, many = (scores(run, data, tmp_path, "--split", "train", "--batch-size", n) for n in ("1", "3"))
    assert one["psnr"] == pytest.approx(many["psnr"], abs=1e-4)
    assert one["sam_rad"] == pytest.approx(many["sam_rad"], abs=1e-5)


def test_scores_on_another_split_than_that_of_the_training_say_so():
    assert of_another_split({"trained_split_sha256": "a" * 64, "split_sha256": "a" * 64}) == []
    assert of_another_split({"trained_split_sha256": "", "split_sha256": "a" * 64}) == []
    (line,) = of_another_split({"trained_split_sha256": "b" * 64, "split_sha256": "a" * 64})
    assert line.startswith("trained on another split (bbbbbbbbbbbb…)")


def test_each_class_has_scores_and_spectra_of_its_own(run, data, tmp_path, capsys):
    found = scores(run, data, tmp_path)
    classes, plain = found["per_class"], found["baselines"]["class_mean"]["per_class"]
    assert set(classes) == set(plain) <= {"water", "trees", "crops", "built"}
    assert sum(entry["pixels"] for entry in classes.values()) == found["pixels"]
    assert sum(entry["mae"] * entry["pixels"] for entry in classes.values()) / found["pixels"] == pytest.approx(
        found["mae"]
    )
    for name, entry in classes.items():
        assert entry["mean_true"] == plain[name]["mean_true"]
        assert plain[name]["std_made"] == pytest.approx([0] * 4, abs=1e-6)  # one spectrum for all pixels of a class
    assert classes["trees"]["mean_true"][3] > classes["water"]["mean_true"][3] + 0.1
    assert "land cover" in capsys.readouterr().out


def test_a_dataset_without_land_cover_has_no_classes(make_dataset, tmp_path):
    plain = make_dataset(tmp_path / "plain", sources=("S2", "S1")).path
    found = scores_of_s1(plain, tmp_path)
    assert "per_class" not in found
    assert found["baselines"] == {}


def test_scores_do_not_need_what_a_baseline_would_learn_from(make_dataset, tmp_path, capsys):
    whole = make_dataset(tmp_path / "whole")
    train = [row.tile for row in whole.in_split("train")]
    found = scores_of_s1(
        make_dataset(tmp_path / "clouded", missing=[("S2", tile) for tile in train]).path, tmp_path / "a"
    )
    assert "class_mean" not in found["baselines"]
    assert "per_class" in found
    assert "warning: no class-mean image to compare with: " in capsys.readouterr().err
    everywhere = [("LULC", row.tile) for row in whole.rows]
    found = scores_of_s1(make_dataset(tmp_path / "unmapped", missing=everywhere).path, tmp_path / "b")
    assert "per_class" not in found


def test_synthetic_images_are_no_truth(data, tmp_path, capsys):
    copied = shutil.copytree(data, tmp_path / "synthetic")
    table = DatasetFolder.open(copied)
    DatasetFolder.write(copied, table.info, [dataclasses.replace(row, synthetic=True) for row in table.rows])
    save_model(tmp_path / "generator", sources=("s1",))
    assert main(["evaluate", "--data", str(copied), "--run", str(tmp_path)]) == 2
    assert "expected real images, to be scored against, found" in capsys.readouterr().err


def scores_of_s1(data, tmp_path):
    save_model(tmp_path / "generator", sources=("s1",))
    return scores(tmp_path, data, tmp_path)


def test_the_best_possible_answer_is_scored_where_the_world_knows_it(tmp_path, capsys):
    world = tmp_path / "world"
    size = ["--scenes", "3", "--tile-size", "64", "--scene-size", "128"]
    assert main(["world", str(world), *size, "--oracle"]) == 0
    found = scores_of_s1(world, tmp_path)
    oracle = found["baselines"]["oracle"]
    assert oracle["tiles"] == found["tiles"]
    assert oracle["psnr"] > found["baselines"]["class_mean"]["psnr"] + 3
    assert "upper bound (built-in world)" in capsys.readouterr().out
    lost = DatasetFolder.open(world).in_split("test")[0].tile
    (world / "ORACLE" / f"{lost}.tif").unlink()
    again = scores(tmp_path, world, tmp_path)["baselines"]["oracle"]
    assert (again["tiles"], again["tiles_without_pixels"]) == (oracle["tiles"] - 1, 1)
    capsys.readouterr()
    other = np.zeros((4, 32, 32), np.float32)
    place = {"crs": CRS.from_epsg(32632), "transform": Affine(10, 0, 5e5, 0, -10, 6e6)}
    write_tile(world / "ORACLE" / f"{lost}.tif", other, ORACLE, **place)
    assert main(["evaluate", "--run", str(tmp_path), "--data", str(world)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{lost}.tif: expected (4, 64, 64) bands, rows and columns, as S2 has, found (4, 32, 32)" in err


@pytest.mark.slow
def test_two_processes_give_the_scores_of_one(run, data, tmp_path):
    # Three tiles: the shares are uneven. One tile at a time, so that both paint in batches of the same size.
    uneven = tmp_path / "data"
    shutil.copytree(data, uneven)
    lost = DatasetFolder.open(uneven).in_split("train")[0].tile
    (uneven / "S2" / f"{lost}.tif").unlink()
    one = scores(run, uneven, tmp_path, "--split", "train", "--batch-size", "1")
    words = [
        "evaluate",
        "--run",
        run,
        "--data",
        uneven,
        "--split",
        "train",
        "--batch-size",
        "1",
        "--json",
        tmp_path / "two.json",
    ]
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
        "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "rsspade",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *map(str, words)], env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("class-mean image") == 1  # one of them speaks
    assert json.loads((tmp_path / "two.json").read_text()) == one


@pytest.mark.parametrize(
    ("model", "words", "expected"),
    [
        ({"scheme": "worldcover"}, [], "expected land cover in the scheme worldcover, the model's, found dynamic_world"),
        ({"bands": ("red", "swir16")}, [], "expected the optical bands red, swir16, which the model makes"),
        ({"sources": ("s1",)}, ["--sources", "s1,dem"], "--sources: expected a subset of s1, which the model was trained with, found dem"),
        ({}, ["--split", "tests"], "--split: expected one of train, val, test"),
        ({}, ["--batch-size", "0"], "--batch-size: expected at least 1"),
        ({}, ["--json", "nowhere/s.json"], "expected a file in a folder that exists, found no such folder"),
        ({}, ["--json", ""], "expected a file, found a folder of that name"),
        ({}, ["--json", "s.json", "--csv", "s.json"], "--csv: expected another file than --json, found s.json"),
        ({}, ["--csv", "."], "expected a file, found a folder of that name"),
        ({}, ["--run", "nowhere"], "expected a run folder with generator/ in it"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused_in_one_line(data, tmp_path, capsys, model, words, expected):
    save_model(tmp_path / "generator", **model)
    assert main(["evaluate", "--data", str(data), "--run", str(tmp_path), *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert expected in err


def test_another_scheme_matters_only_where_land_cover_is_used(data, tmp_path):
    save_model(tmp_path / "generator", scheme="worldcover")
    assert scores(tmp_path, data, tmp_path, "--sources", "s1")["sources"] == ["s1"]
