"""A segmentation run from its first step to its last: what it leaves, what it learns, what it must not learn from."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from small_runs import arguments, environment, lines, same_state, start
from synthetic_sets import write_synthetic

from rsspade.data.geotiff import read_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import RSSpadeWarning
from rsspade.options import read_options, to_yaml
from rsspade.training.interruption import Interruption
from rsspade.training.state import find_checkpoints
from segmentation import evaluate, loop
from segmentation.config import SegmentationConfig
from segmentation.losses import class_weights
from segmentation.models import Segmenter
from segmentation.parts import Data, with_unseen_classes


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(threads)


def options(data, out="run", **given):
    return read_options(SegmentationConfig, arguments(data, out, **given))


def run(data, out, **given):
    return loop.train(options(data, out, **given))


def test_a_run_leaves_a_network_that_loads_and_lines_that_tell_its_way(dataset, synthetic, tmp_path):
    losses = {"loss__dice": 1, "loss__focal": 0.5, "loss__class_power": 0.5}
    shown = {"sources": "s2,s1", "eval_every": 0, "sample_tiles": 2}
    assert run(dataset, tmp_path / "run", epochs=2, synthetic=synthetic, **shown, **losses) == 0
    assert len(list((tmp_path / "run" / "samples").glob("step_*.png"))) == 2
    kept = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "metrics.jsonl", "model", "model_last", "checkpoints", "environment.json"} <= kept
    model = Segmenter.from_pretrained(tmp_path / "run")
    tiles = DatasetFolder.open(dataset).in_split("train")
    assert model.info.training["synthetic_per_epoch"] == len(tiles)
    ids = model.classify({"s2": torch.rand(1, 4, 80, 64), "s1": torch.randn(1, 2, 80, 64) - 12})
    assert ids.shape == (1, 80, 64)
    assert min(model.info.class_weights) < 1 < max(model.info.class_weights)
    written = lines(tmp_path / "run")
    assert all(set(line["loss"]) == {"cross_entropy", "dice", "focal"} for line in written if "loss" in line)
    assert [line["val"]["epoch"] for line in written if "val" in line] == [1.0, 2.0]
    again = read_options(SegmentationConfig, ["--config", str(tmp_path / "run" / "config.yaml")])
    assert (again.epochs, again.steps) == (0, len(tiles) * 2 * 2 // 2)
    assert to_yaml(again) == (tmp_path / "run" / "config.yaml").read_text()


def test_one_batch_is_overfitted(dataset, tmp_path):
    given = {
        "loader__flips": "false",
        "loader__turns": "false",
        "network__base_width": 8,
        "optimizer__schedule": "constant",
    }
    run(dataset, tmp_path / "run", steps=40, batch_size=2, labels=0.3, lr=1e-2, loss__dice=1, **given)
    losses = [sum(line["loss"].values()) for line in lines(tmp_path / "run") if "loss" in line]
    assert np.mean(losses[-5:]) < 0.3 * losses[0]


def test_measuring_the_norms_changes_what_is_kept_and_not_how_it_is_trained(dataset, tmp_path):
    for tiles in (0, 3):
        given = {"steps": 4, "eval_every": 2, "optimizer__ema_decay": 0.5, "optimizer__norm_tiles": tiles}
        assert run(dataset, tmp_path / f"run{tiles}", **given) == 0
    weights = [Segmenter.from_pretrained(tmp_path / name / "model_last").state_dict() for name in ("run0", "run3")]
    differ = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert differ
    assert all("running_" in name for name in differ)


def test_a_run_that_was_stopped_goes_on_bit_for_bit(dataset, synthetic, tmp_path, monkeypatch):
    given = {"steps": 6, "save_every": 2, "eval_every": 3, "log_every": 4, "synthetic": synthetic, "ratio": 0.5}
    given |= {"optimizer__ema_decay": 0.9}
    assert run(dataset, tmp_path / "whole", **given) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "noticed", lambda self, step: step == 3 and setattr(self, "signal", 15) is None)
        assert run(dataset, tmp_path / "broken", **given) == 143
    assert run(dataset, tmp_path / "broken", resume="true", **given) == 0
    assert same_state(tmp_path / "whole", tmp_path / "broken")
    plain = [
        [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert plain[0] == plain[1]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_bit_for_bit(dataset, synthetic, tmp_path, capsys):
    given = {"steps": 14, "save_every": 3, "eval_every": 5, "synthetic": synthetic}
    assert run(dataset, tmp_path / "whole", **given) == 0
    AcceleratorState._reset_state(reset_partial_state=True)
    process = start(dataset, tmp_path / "broken", resume="true", **given)
    while process.poll() is None and len(lines_whole(tmp_path / "broken")) < 8:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert run(dataset, tmp_path / "broken", resume="true", **given) == 0
    assert "going on after step" in capsys.readouterr().out
    assert same_state(tmp_path / "whole", tmp_path / "broken")


def test_a_signal_leaves_a_run_that_goes_on(dataset, tmp_path):
    process = start(dataset, tmp_path / "run", steps=100000)
    while process.poll() is None and len(lines_whole(tmp_path / "run")) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=250)
    assert (process.returncode, err) == (143, "")
    assert "the same command with --resume goes on" in out
    assert len(find_checkpoints(tmp_path / "run" / "checkpoints")) == 1


def lines_whole(folder):
    try:
        return lines(folder)
    except json.JSONDecodeError:  # just being written
        return []


@pytest.mark.slow
def test_two_processes_give_what_one_gives(dataset, tmp_path):
    # Hardly a label in every second tile: a mean of the processes' own means would be another number.
    data = tmp_path / "data"
    shutil.copytree(dataset, data, ignore=shutil.ignore_patterns(".packed"))
    for row in DatasetFolder.open(data).in_split("train")[::2]:
        with rasterio.open(data / "LULC" / f"{row.tile}.tif", "r+") as out:
            ids = out.read()
            ids[:, 6:] = 255
            out.write(ids)
    given = {"steps": 4, "batch_size": 4, "eval_every": 4, "optimizer__name": "sgd", "lr": 0.01, "loss__dice": 1}
    given |= {"loader__flips": "false", "loader__turns": "false"}
    assert run(data, tmp_path / "1", **given) == 0
    done = launched("segmentation.train", *arguments(data, tmp_path / "2", **given))
    assert done.returncode == 0, done.stderr
    states = [find_checkpoints(tmp_path / n / "checkpoints")[0] for n in "12"]
    assert [json.loads((s / "state.json").read_text())["processes"] for s in states] == [1, 2]
    for mine, theirs in zip(lines(tmp_path / "1"), lines(tmp_path / "2"), strict=True):
        assert mine["step"] == theirs["step"]
        for kind, tolerance in (("loss", 1e-4), ("val", 2e-3)):
            for name, value in mine.get(kind, {}).items():
                if isinstance(value, float):
                    assert theirs[kind][name] == pytest.approx(value, abs=tolerance, rel=tolerance), (kind, name)
    one, two = (load_file(s / "network.safetensors") for s in states)
    assert all(torch.allclose(one[k], two[k], rtol=1e-3, atol=1e-4) for k in one)


@pytest.mark.slow
def test_two_processes_count_and_draw_what_one_does(dataset, tmp_path):
    assert run(dataset, tmp_path / "run", steps=2) == 0
    words = {
        n: ["--run", tmp_path / "run", "--data", dataset, "--split", "train", "--json", tmp_path / f"{n}.json",
            "--maps", tmp_path / f"maps{n}"] for n in (1, 2)
    }  # fmt: skip
    assert evaluate.main([str(w) for w in words[1]]) == 0
    done = launched("segmentation.evaluate", *map(str, words[2]))
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert one == two
    assert done.stdout.count("tiles") == 1  # one table, of all
    drawn = [{p.name: p.read_bytes() for p in (tmp_path / f"maps{n}").iterdir()} for n in (1, 2)]
    assert len(drawn[0]) == one["tiles"] > 1
    assert drawn[0] == drawn[1]


def launched(*words):
    """A module on two processes, by the command of the README."""
    flags = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "--num_machines", "1"]
    flags += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags, *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=250)


def test_half_precision_learns_nearly_the_same_and_keeps_whole_weights(dataset, tmp_path):
    for precision in ("fp32", "bf16"):
        assert run(dataset, tmp_path / precision, steps=3, precision=precision, loss__dice=1) == 0
        AcceleratorState._reset_state(reset_partial_state=True)
    whole, half = ([line["loss"] for line in lines(tmp_path / p) if "loss" in line] for p in ("fp32", "bf16"))
    assert whole != half
    for mine, theirs in zip(whole, half, strict=True):
        assert theirs == pytest.approx(mine, rel=0.03)
    kept = load_file(tmp_path / "bf16" / "model" / "model.safetensors")
    assert {v.dtype for v in kept.values() if v.is_floating_point()} == {torch.float32}


def test_a_run_stops_when_validation_no_longer_gets_better(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "is_better", lambda score, best, *, name: best is None)
    given = {"steps": 50, "eval_every": 1, "patience": 2}
    assert run(dataset, tmp_path / "run", **given) == 0
    assert lines(tmp_path / "run")[-1]["step"] == 3
    assert "stopped early after step 3" in capsys.readouterr().out
    assert Segmenter.from_pretrained(tmp_path / "run").info.training["step"] == 1
    assert run(dataset, tmp_path / "run", resume="true", **given) == 0
    assert "stopped early after step 3; raise --patience to go on" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_moves_no_weight_and_ends_the_run(dataset, tmp_path, monkeypatch):
    honest = loop.loss_parts

    def broken(*given):
        return {n: loop.Part(p.total * float("inf"), p.divisor) for n, p in honest(*given).items()}

    monkeypatch.setattr(loop, "loss_parts", broken)
    assert run(dataset, tmp_path / "run", steps=5) == 1
    assert lines(tmp_path / "run")[-1] == {"step": 1, "diverged": {"network": 1}}


@pytest.mark.parametrize(("draws", "save_every"), [(8000, 1000), (800, 100), (36, 104), (1, 100)])
def test_checkpoints_are_an_epoch_apart_or_as_many_as_make_a_hundred_steps(draws, save_every):
    config = SegmentationConfig(data="data", out="run", batch_size=8)
    assert config.resolved(draws).save_every == save_every
    assert dataclasses.replace(config, save_every=7).resolved(draws).save_every == 7


def test_a_label_without_an_image_teaches_nothing(dataset, tmp_path):
    for labels in (1, 6):
        data = tmp_path / f"data{labels}"
        shutil.copytree(dataset, data, ignore=shutil.ignore_patterns(".packed"))
        for row in DatasetFolder.open(data).in_split("train"):
            for folder, value in (("S2", np.nan), ("LULC", labels)):
                with rasterio.open(data / folder / f"{row.tile}.tif", "r+") as out:
                    values = out.read()
                    values[:, :, :24] = value
                    out.write(values)
        assert run(data, tmp_path / f"run{labels}", steps=2, loss__focal=1, loss__class_power=0) == 0
    one, other = (load_file(tmp_path / f"run{n}" / "model" / "model.safetensors") for n in (1, 6))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_class_weights_come_from_the_labels_that_are_used_and_from_no_others(dataset, synthetic):
    folder = DatasetFolder.open(dataset)
    for share in (1.0, 0.5):
        data = Data(options(dataset, synthetic=synthetic, labels=share), torch.device("cpu"))
        tiles = [row.tile for row in folder.in_split("train")]
        used = [tiles[n] for n in data.real]
        assert len(used) == round(share * len(tiles))
        expected = sum(
            np.bincount(folder.scheme.indices(folder.read("lulc", tile)).ravel(), minlength=10)[:9] for tile in used
        )
        assert data.class_pixels.tolist() == expected.tolist()


def test_a_class_that_only_synthetic_tiles_hold_is_weighted_as_rare_as_it_is_there():
    real, synthetic = np.array([600, 400, 0, 0]), np.array([900, 900, 200, 0])
    assert with_unseen_classes(real, synthetic).tolist() == [600, 400, 100, 0]
    weights = class_weights(with_unseen_classes(real, synthetic), 0.5)
    assert weights[2] > weights[1] > weights[0]
    assert with_unseen_classes(real, np.array([0, 0, 1, 10**6]))[2] == 1


def test_a_class_that_the_chosen_labels_leave_out_is_named(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("segmentation.parts.chosen_tiles", lambda rows, *_, **__: np.arange(len(rows))[:1])
    data = tmp_path / "data"
    shutil.copytree(dataset, data, ignore=shutil.ignore_patterns(".packed"))
    row = DatasetFolder.open(data).in_split("train")[-1]
    with rasterio.open(data / "LULC" / f"{row.tile}.tif", "r+") as out:
        ids = out.read()
        ids[:, :4] = 8
        out.write(ids)
    with pytest.warns(RSSpadeWarning) as caught:
        held = Data(options(data, labels=0.5), torch.device("cpu")).class_pixels
    assert [str(one.message).startswith("snow_and_ice: no labelled pixel among the 1 of") for one in caught] == [True]
    assert held[8] == 0 < held.sum()  # it goes on with what there is


def test_synthetic_tiles_can_be_kept_to_the_parents_that_are_used(dataset, synthetic):
    every = Data(options(dataset, synthetic=synthetic, labels=0.5), torch.device("cpu"))
    some = Data(options(dataset, synthetic=synthetic, labels=0.5, parents="labelled"), torch.device("cpu"))
    assert every.num_synthetic_tiles == 3 * len(DatasetFolder.open(dataset).in_split("train"))
    assert some.num_synthetic_tiles == 3 * len(some.real)
    assert every.order.num_draws == some.order.num_draws == 2 * len(some.real)


def test_a_synthetic_tile_teaches_with_its_own_image_and_labels(dataset, tmp_path):
    made = write_synthetic(dataset, tmp_path / "made", samples=2)
    data = Data(options(dataset, synthetic=made, loader__flips="false", loader__turns="false"), torch.device("cpu"))
    draws = [d for d in data.order.order() if d.tile >= len(data.real)]
    names = sorted(row.tile for row in DatasetFolder.open(made).rows)
    for draw in draws[:3]:
        sample = data.train[draw]
        stem = names[draw.tile - len(data.real)]
        assert np.array_equal(sample.optical.numpy(), read_tile(made / "S2" / f"{stem}.tif"))
        assert np.array_equal(sample.sources["lulc"].numpy(), read_tile(made / "LULC" / f"{stem}.tif"))
