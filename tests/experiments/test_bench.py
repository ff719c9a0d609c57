"""The bench of the models, with models and tiles so small that only its arithmetic is seen."""

import pytest
import torch
from accelerate.state import AcceleratorState

from experiments.bench import models
from experiments.bench.models import LIMITS, MODELS, bench_models
from rsspade.models import GeneratorConfig, build_generator, num_parameters

SMALL = {
    "generator.base_width": 4, "generator.depth": 3, "discriminator.base_width": 4, "discriminator.layers": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_models_are_timed_and_taken_apart(make_dataset, tmp_path, monkeypatch, capsys):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1)).path
    options = {name: {**MODELS[name], **SMALL} for name in ("rs_spade", "pix2pix", "spade")}
    monkeypatch.setattr(models, "peak_memory", lambda *_: 2.0)  # six processes; one of them below
    found = bench_models(data, options, rounds=1)
    assert set(found["step_ratios"]) == set(LIMITS)
    assert all(found["seconds"][what][name] > 0 for what in ("training", "inference") for name in options)
    assert found["memory_mb"]["training"] == dict.fromkeys(options, 2.0)
    expected = {"decoder", "discriminator", "backward", "optimizers", "average", "reading", "losses and the rest"}
    for shares in found["shares"].values():
        assert expected <= set(shares)
        assert sum(shares.values()) == pytest.approx(1)
        assert all(0 < share < 1 for share in shares.values())
    assert {"embeddings", "encoder"} <= set(found["shares"]["rs_spade"])
    shown = capsys.readouterr().out
    assert "where a training step's time goes" in shown
    assert "wanted: at most 2.500" in shown


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
    assert 5 * weights_mb < models.peak_memory(data, options, "training") < 1000


def test_spade_is_the_published_one():
    assert MODELS["spade"] == {
        "model": "spade", "generator.base_width": 64, "generator.depth": 6, "generator.hidden_width": 128,
    }  # fmt: skip
