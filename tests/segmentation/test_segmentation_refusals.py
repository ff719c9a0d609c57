"""Mistakes of a user: each ends in one line that says what to do, exit code 2, and nothing half-written."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
import yaml
from accelerate.state import AcceleratorState
from small_runs import arguments
from synthetic_sets import write_synthetic

from rsspade.data.manifest import DatasetFolder
from rsspade.training.state import find_checkpoints
from segmentation import evaluate, train
from segmentation.maps import write_map


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def spoilt(dataset, tmp_path):
    """A copy of the dataset, and a function that puts a value into all labels of a split."""
    path = tmp_path / "data"
    shutil.copytree(dataset, path, ignore=shutil.ignore_patterns(".packed"))

    def fill(split, value, *, rows=slice(None)):
        for row in DatasetFolder.open(path).in_split(split):
            with rasterio.open(path / "LULC" / f"{row.tile}.tif", "r+") as out:
                ids = out.read()
                ids[:, rows] = value
                out.write(ids)
        return path

    return fill


def refusal(capsys, words, main=train.main):
    assert main([str(w) for w in words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ratios", "1"], "Did you mean --ratio?"),
        (["--sources", "s2,lulc"], "expected a comma-separated subset of s2, s1, dem, found 's2,lulc'"),
        (["--labels", "0"], "--labels: expected 0 < value ≤ 1, found 0"),
        (["--ratio", "-1"], "--ratio: expected a number above 0"),
        (["--steps", "1", "--epochs", "1"], "expected one of them, found both"),
        (["--loss.cross_entropy", "0", "--loss.dice", "0"], "Raise one, such as --loss.cross_entropy 1."),
        (["--model", "unett"], "Did you mean unet?"),
    ],
)
def test_an_option_that_cannot_be_is_refused(capsys, words, expected):
    assert expected in refusal(capsys, ["--data", "d", "--out", "o", *words])


def test_an_id_outside_the_scheme_is_refused_in_training_and_in_evaluation(capsys, spoilt, dataset, tmp_path):
    run = tmp_path / "run"
    assert train.main(arguments(dataset, run, steps=1)) == 0
    capsys.readouterr()
    for split in ("test", "val", "train"):
        data = spoilt(split, 77, rows=slice(3))
        assert "class ids of dynamic_world (0, 1, 2, 3, 4, 5, 6, 7, 8), found id 77" in (
            refusal(capsys, ["--run", run, "--data", data], evaluate.main)
            if split == "test"
            else refusal(capsys, arguments(data, tmp_path / "other", steps=1))
        )
    assert not (tmp_path / "other").exists()


def test_a_run_that_was_refused_late_leaves_nothing_in_the_way_of_the_next(capsys, dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "segmentation_models_pytorch", None)
        told = refusal(
            capsys,
            arguments(dataset, tmp_path / "run", steps=1, model="unet", network__base_width=None, network__depth=None),
        )
    assert 'pip install "rsspade[models]"' in told
    assert not (tmp_path / "run").exists()
    AcceleratorState._reset_state(reset_partial_state=True)
    assert train.main(arguments(dataset, tmp_path / "run", steps=1)) == 0


def test_a_pyramid_that_ends_in_one_pixel_of_one_tile_is_refused(capsys, make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", tile_size=32).path
    given = {"steps": 1, "network__depth": 5}
    for odd in ({"batch_size": 1}, {"batch_size": 2, "accumulate": 2}, {"batch_size": 1, "model": "unet"}):
        told = refusal(capsys, arguments(data, tmp_path / "run", **given | odd))
        assert f"at least 2 tiles in a micro-batch for {odd.get('model', 'rs_unet')} on 32×32 px" in told
        assert not (tmp_path / "run").exists()
    for number, fits in enumerate(({"batch_size": 2}, {"batch_size": 1, "network__depth": 4})):
        assert train.main(arguments(data, tmp_path / f"run{number}", **given | fits)) == 0
        AcceleratorState._reset_state(reset_partial_state=True)


def test_labels_that_cannot_teach_are_refused(capsys, spoilt, tmp_path):
    data = spoilt("train", 255)
    assert "expected labelled pixels in the split train, found none" in refusal(capsys, arguments(data, tmp_path / "r"))
    data = spoilt("train", 4)
    assert "at least two classes in the training labels, found crops" in refusal(
        capsys, arguments(data, tmp_path / "r")
    )
    assert not (tmp_path / "r").exists()


def test_a_dataset_without_labels_is_refused(capsys, make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", sources=("S2", "S1")).path
    assert "expected a dataset with labels (LULC), found S2, S1" in refusal(capsys, arguments(data, tmp_path / "run"))


def test_synthetic_tiles_are_not_data_and_leaks_are_refused(capsys, dataset, synthetic, tmp_path):
    assert "expected real tiles, found" in refusal(capsys, arguments(synthetic, tmp_path / "run"))
    leak = write_synthetic(dataset, tmp_path / "leak", change=lambda row: replace(row, parent_split="val"))
    assert "found one made from a val tile" in refusal(capsys, arguments(dataset, tmp_path / "run", synthetic=leak))


def test_validation_without_labels_is_a_warning(capsys, spoilt, tmp_path):
    assert train.main(arguments(spoilt("val", 255), tmp_path / "run", steps=1)) == 0
    assert "warning: no validation, the last weights will be kept as the best" in capsys.readouterr().err
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_another_run_is_not_continued(capsys, dataset, synthetic, tmp_path):
    run = tmp_path / "run"
    assert train.main(arguments(dataset, run, steps=1)) == 0
    capsys.readouterr()
    assert "found a run" in refusal(capsys, arguments(dataset, run, steps=1))
    again = {"steps": 1, "resume": "true"}
    assert "a run with --lr" in refusal(capsys, arguments(dataset, run, lr=0.1, **again))
    assert "one of another" in refusal(capsys, arguments(dataset, run, synthetic=synthetic, **again))


def test_a_run_does_not_go_on_with_images_of_another_generator(capsys, dataset, synthetic, tmp_path):
    run, options = tmp_path / "run", {"steps": 2, "save_every": 1}
    assert train.main(arguments(dataset, run, synthetic=synthetic, **options)) == 0
    last, first = find_checkpoints(run / "checkpoints")
    shutil.rmtree(last)
    made_by = DatasetFolder.open(synthetic).info.made_by
    made_by = {**made_by, "generator": {**made_by["generator"], "weights_sha256": "1" * 64}}
    other = write_synthetic(dataset, tmp_path / "other", samples=3, made_by=made_by)
    capsys.readouterr()
    again = {**options, "resume": "true"}
    assert "found one of another (synthetic images)" in refusal(
        capsys, arguments(dataset, run, synthetic=other, **again)
    )
    state = json.loads((first / "state.json").read_text())
    del state["data"]["synthetic_images"], state["data"]["labels"]  # as older versions left it
    (first / "state.json").write_text(json.dumps(state))
    assert train.main(arguments(dataset, run, synthetic=synthetic, **again)) == 0
    assert "going on after step 1" in capsys.readouterr().out


def test_a_run_does_not_go_on_with_other_labels(capsys, dataset, tmp_path):
    run, mine = tmp_path / "run", tmp_path / "data"
    shutil.copytree(dataset, mine)
    assert train.main(arguments(mine, run, steps=1)) == 0
    folder = DatasetFolder.open(mine)
    tile = mine / "LULC" / f"{folder.in_split('train')[0].tile}.tif"
    with rasterio.open(tile, "r+") as src:
        labels = src.read(1)
        src.write(np.where(labels == labels[0, 0], 255, labels), 1)
    capsys.readouterr()
    assert "found one of another (labels)" in refusal(capsys, arguments(mine, run, steps=1, resume="true"))


def test_a_run_from_before_an_option_of_the_network_goes_on_with_what_it_had(capsys, dataset, tmp_path):
    run, options = tmp_path / "run", {"steps": 2, "save_every": 1}
    assert train.main(arguments(dataset, run, network__leak=0, **options)) == 0
    last, first = find_checkpoints(run / "checkpoints")
    shutil.rmtree(last)
    state = json.loads((first / "state.json").read_text())
    info = json.loads(state["info"])
    config = yaml.safe_load((run / "config.yaml").read_text())
    for options_of_the_network in (state["config"]["network"], info["architecture"], config["network"]):
        del options_of_the_network["leak"]
    (first / "state.json").write_text(json.dumps(state | {"info": json.dumps(info)}))
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    kept = (run / "config.yaml").read_bytes()
    capsys.readouterr()
    assert "found a run older than --network.leak, which was made with 0.0 (now 0.1)" in refusal(
        capsys, arguments(dataset, run, resume="true", **options)
    )
    assert (run / "config.yaml").read_bytes() == kept
    assert train.main(arguments(dataset, run, resume="true", network__leak=0, **options)) == 0
    assert "going on after step 1" in capsys.readouterr().out


def test_unlabelled_pixels_are_not_scored(capsys, spoilt, tmp_path):
    spoilt("train", 255, rows=slice(8))
    data = spoilt("val", 255, rows=slice(8))
    assert train.main(arguments(data, tmp_path / "run", steps=1)) == 0
    assert (
        evaluate.main(
            ["--run", str(tmp_path / "run"), "--data", str(data), "--split", "val", "--json", str(tmp_path / "s.json")]
        )
        == 0
    )
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["pixels"] == found["tiles"] * 56 * 64
    assert found["classes"][0] == "water"


@pytest.mark.parametrize("sources", ["s2", "s2,dem", "s1"])
def test_pixels_without_an_image_are_neither_scored_nor_mapped(dataset, tmp_path, sources):
    data, files = tmp_path / "data", {"s2": "S2", "s1": "S1"}
    shutil.copytree(dataset, data, ignore=shutil.ignore_patterns(".packed"))
    folder = DatasetFolder.open(data)
    for row in folder.in_split("test"):
        with rasterio.open(data / files[sources[:2]] / f"{row.tile}.tif", "r+") as out:
            values = out.read()
            values[:, :, :56] = np.nan
            out.write(values)
    assert train.main(arguments(dataset, tmp_path / "run", steps=1, sources=sources)) == 0
    words = ["--run", tmp_path / "run", "--data", data, "--json", tmp_path / "s.json", "--maps", tmp_path / "maps"]
    assert evaluate.main([str(w) for w in words]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["pixels"] == found["tiles"] * 64 * 8
    for row in folder.in_split("test"):
        with rasterio.open(tmp_path / "maps" / f"{row.tile}.tif") as drawn:
            assert np.array_equal(drawn.read(1) == 255, np.broadcast_to(np.arange(64) < 56, (64, 64)))


def test_evaluate_writes_scores_and_coloured_maps(capsys, dataset, tmp_path):
    assert train.main(arguments(dataset, tmp_path / "run", steps=2)) == 0
    words = ["--run", tmp_path / "run", "--data", dataset, "--json", tmp_path / "s.json", "--maps", tmp_path / "maps"]
    assert evaluate.main([str(w) for w in words]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert {"accuracy", "miou", "kappa", "mpa", "fwiou", "per_class", "confusion", "tiles", "split"} <= found.keys()
    folder = DatasetFolder.open(dataset)
    counts = np.zeros((9, 9), int)
    for row in folder.in_split("test"):
        with (
            rasterio.open(tmp_path / "maps" / f"{row.tile}.tif") as drawn,
            rasterio.open(folder.tile_path("lulc", row.tile)) as truth,
        ):
            assert (drawn.crs, drawn.transform, drawn.shape) == (truth.crs, truth.transform, truth.shape)
            assert drawn.colormap(1)[1] == folder.scheme.colormap()[1]
            np.add.at(counts, (truth.read(1), drawn.read(1)), 1)
    assert counts.tolist() == found["confusion"]
    assert "something in its place" in refusal(capsys, words, evaluate.main)


def test_maps_that_were_broken_off_leave_nothing_in_the_way_of_the_next(dataset, trained, tmp_path, monkeypatch):
    words = ["--run", str(trained), "--data", str(dataset), "--maps", str(tmp_path / "maps"), "--batch-size", "1"]

    def draw_one(folder, *given):
        if any(folder.glob("*.tif")):
            raise KeyboardInterrupt
        write_map(folder, *given)

    with monkeypatch.context() as patch:
        patch.setattr("segmentation.maps.write_map", draw_one)
        assert evaluate.main(words) == 130
    assert list(tmp_path.iterdir()) == []
    killed = tmp_path / "maps.partial"  # as a kill would leave it
    killed.mkdir()
    (killed / "job.json").write_text('{"command": "segmentation.evaluate"}')
    (killed / "elsewhere.tif").touch()
    assert evaluate.main(words) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["maps"]
    tiles = {f"{row.tile}.tif" for row in DatasetFolder.open(dataset).in_split("test")}
    assert {p.name for p in (tmp_path / "maps").iterdir()} == tiles


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--split", "tests"], "expected one of train, val, test, found 'tests'"),
        (["--batch-size", "0"], "--batch-size: expected at least 1, found 0"),
        (["--json", "no/such/folder.json"], "a folder that exists"),
    ],
)
def test_evaluate_refuses_what_cannot_be(capsys, dataset, trained, words, expected):
    assert expected in refusal(capsys, ["--run", trained, "--data", dataset, *words], evaluate.main)


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    assert train.main(arguments(dataset, run, steps=1)) == 0
    return run


def test_a_source_that_no_labelled_training_tile_holds_is_refused(make_dataset, tmp_path, capsys):
    lost = [("S1", row.tile) for row in make_dataset(tmp_path / "whole").in_split("train")]
    part = make_dataset(tmp_path / "part", missing=lost).path
    told = refusal(capsys, arguments(part, tmp_path / "run", sources="s2,s1"))
    assert "expected labelled training tiles with the source s1, found none. Choose with --sources" in told
    assert not (tmp_path / "run").exists()
