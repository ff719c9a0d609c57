"""The measurements of speed, with models and tiles so small that only their arithmetic is seen."""

import json
import sys

import pytest
import torch
from accelerate.state import AcceleratorState

from experiments.cells.timing import Times, interleaved
from experiments.speed import __main__ as speed
from experiments.speed import memory
from experiments.speed.metrics import measure_metrics
from experiments.speed.models import measure_models
from experiments.speed.plan import LIMIT_MB, LIMITS, MODELS, PRESETS, Preset
from experiments.speed.reading import measure_reading
from experiments.speed.report import report
from experiments.speed.scene import measure_scene
from rsspade.errors import RSSpadeWarning
from rsspade.models import GeneratorConfig, build_generator, num_parameters

TINY = Preset(
    tile=64, scenes=3, rounds=1, turns=1, scene=64,
    smaller={"generator.base_width": 4, "generator.depth": 3, "discriminator.base_width": 4, "discriminator.layers": 2},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_calls_take_turns_and_those_that_warm_up_do_not_count():
    heard = []
    times = interleaved({"a": lambda: heard.append("a"), "b": lambda: heard.append("b")}, rounds=2, turns={"b": 2})
    assert heard == ["a", "b", "b"] * 3
    assert {name: len(own) for name, own in times.rounds.items()} == {"a": 2, "b": 2}


def test_a_ratio_is_that_of_rounds_so_that_a_busy_hour_does_not_count():
    times = Times({"slow": (2.0, 20.0, 2.0), "fast": (1.0, 10.0, 2.0)})
    assert times.ratio("slow", "fast") == 2.0
    assert times.seconds("slow") == 2.0


def test_the_models_are_timed_and_taken_apart(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1)).path
    found = measure_models(data, TINY)
    for what in ("training", "inference"):
        assert set(found["seconds"][what]) == set(MODELS)
        assert all(seconds > 0 for seconds in found["seconds"][what].values())
        assert set(LIMITS) < set(found["ratios"][what])
    expected = {"decoder", "discriminator", "backward", "optimizers", "average", "reading", "losses and the rest"}
    for shares in found["shares"].values():
        assert expected <= set(shares)
        assert sum(shares.values()) == pytest.approx(1)
        assert all(0 < share < 1 for share in shares.values())
    assert {"embeddings", "encoder"} <= set(found["shares"]["rs_spade"])


@pytest.mark.slow
def test_memory_is_that_of_the_model_in_a_process_of_its_own(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1)).path
    options = {"model": "spade", "generator.base_width": 16, "generator.depth": 4, "generator.hidden_width": 32}
    with torch.device("meta"):
        sources, bands = {"s1": 2, "lulc": 10, "dem": 5}, ("blue", "green", "red", "nir")
        config = GeneratorConfig(
            model="spade", sources=sources, optical_bands=bands, base_width=16, depth=4, hidden_width=32
        )
        weights_mb = num_parameters(build_generator(config)) * 4 / 1024**2
    # Weights, gradients, two moments and the average; less than a gigabyte of activations and of code loaded late.
    assert 5 * weights_mb < memory.peak_memory(data, options, "training") < 1000


def test_spade_is_the_published_one():
    assert MODELS["spade"] == {
        "model": "spade", "generator.base_width": 64, "generator.depth": 6, "generator.hidden_width": 128,
    }  # fmt: skip


def test_the_packed_copy_reads_faster_than_the_tiles(make_dataset, tmp_path):
    found = measure_reading(make_dataset(tmp_path / "d", scenes=3).path, rounds=3)
    assert found["tiles"] == 6
    assert all(ratio > 3 for ratio in found["ratios"].values())  # only a copy that is not used shall be noticed here


def test_scores_are_those_of_scikit_image():
    found = measure_metrics(tiles=2, side=32, rounds=1)
    assert all(difference < 1e-6 for difference in found["largest_difference"].values())
    assert set(found["ratios"]) == {"psnr", "ssim"}


def test_scenes_are_painted_by_all_but_the_heavy_model(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1))
    with pytest.warns(RSSpadeWarning, match="too few for three blocks"):
        one = make_dataset(tmp_path / "one", scenes=1, grid=(1, 1))
    found = measure_scene(data.path, one.path, tmp_path / "painted", TINY)
    names = set(MODELS) - {"spade"}
    assert set(found["megapixels_per_s"]) == set(found["of_network"]) == names
    assert set(found["ratios"]) == names - {"rs_spade"}
    for name in names:
        assert len([*(tmp_path / "painted" / "scenes" / name).glob("*.tif")]) == 2  # to warm up, and the round


def test_parts_are_kept_one_by_one_and_told_in_one_table(tmp_path, monkeypatch, capsys):
    part = {"side": 8, "peak_mb": 500.0, "of_limit": 0.25, "megapixels_per_s": 1.5}
    monkeypatch.setattr(speed, "measure_prepare", lambda *_, **__: part)
    world = {"tile": 128, "tiles_per_s": {"workers_1": 10.0, "workers_2": 15.0}, "ratio": 1.5}
    monkeypatch.setattr(speed, "measure_world", lambda *_, **__: world)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # what `main` sets is taken back with it
    for name in ("prepare", "world"):
        monkeypatch.setattr(sys, "argv", ["speed", "--preset", "toy", "--part", name, "--out", str(tmp_path)])
        speed.main()
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["toy"]) == ["world", "prepare"]
    assert {"date", "commit", "machine"} < set(found["toy"]["world"])
    text = (tmp_path / "RESULTS.md").read_text()
    assert text == report(found)
    assert "| 15.0 against 10.0 tiles/s | 1.5 |" in text
    assert "| 500 MB at 1.50 Mpx/s | 0.25 |" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)  # under a minute of arithmetic; longer on a machine with other things to do
def test_the_toy_preset_measures_every_part(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # what `main` sets is taken back with it
    monkeypatch.setattr(sys, "argv", ["speed", "--preset", "toy", "--out", str(tmp_path)])
    speed.main()
    found = json.loads((tmp_path / "results.json").read_text())["toy"]
    assert tuple(found) == speed.PARTS
    assert found["prepare"]["side"] == PRESETS["toy"].prepared
    assert 100 < found["prepare"]["peak_mb"] < 1500
    assert found["prepare"]["of_limit"] == found["prepare"]["peak_mb"] / LIMIT_MB
    assert all(0.1 < rate < 1000 for rate in found["world"]["tiles_per_s"].values())
    assert all(ratio > 3 for ratio in found["reading"]["ratios"].values())
    assert all(difference < 1e-6 for difference in found["metrics"]["largest_difference"].values())
    for what in ("training", "inference"):
        assert set(found["models"]["seconds"][what]) == set(MODELS)
        assert all(10 < peak < 1000 for peak in found["memory"]["megabytes"][what].values())
    text = (tmp_path / "RESULTS.md").read_text()
    for told in (
        "`prepare` on a 512×512 px scene",
        "`world`, 128 px",
        "training per image of 64 px",
        "`scene` of 192×192 px",
    ):
        assert told in text


def test_a_gpu_that_is_not_there_is_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["speed", "--preset", "gpu", "--out", str(tmp_path / "new")])
    with pytest.raises(SystemExit, match="expected a GPU, found none"):
        speed.main()
    assert not (tmp_path / "new").exists()


def test_the_committed_table_is_that_of_the_committed_numbers():
    folder = speed.Path(speed.__file__).parent
    results = json.loads((folder / "results.json").read_text())
    assert (folder / "RESULTS.md").read_text() == report(results)
    assert set(results) <= set(PRESETS)
