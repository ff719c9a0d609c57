"""Fine-tuning: what a run that begins with another's generator takes over, what it leaves, what it refuses."""

import dataclasses
import hashlib
import json
import shutil

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tiny_runs import PLAIN, arguments, same_state

from rsspade.config import TrainingConfig
from rsspade.errors import InputError, RSSpadeWarning
from rsspade.models import RSSpade
from rsspade.options import read_options
from rsspade.training.__main__ import main
from rsspade.training.loop import Run
from rsspade.training.parts import Data, make_info
from rsspade.training.start import read_start
from rsspade.training.state import find_checkpoints


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def other(dataset, tmp_path_factory):
    """A finished run, whose generator others begin with."""
    out = tmp_path_factory.mktemp("other") / "run"
    assert main(arguments(dataset, out, steps=2, seed=5)) == 0
    AcceleratorState._reset_state(reset_partial_state=True)
    return out


def build(data, out, **options):
    """The networks of a run before its first step."""
    config = read_options(TrainingConfig, arguments(data, out, **options))
    accelerator = Accelerator(cpu=True)
    tiles = Data(config, accelerator.device)
    return Run.build(config, accelerator, tiles, start=read_start(config, make_info(config, tiles))).networks


def test_generator_and_average_are_the_other_runs_and_all_else_is_fresh(dataset, other, tmp_path):
    given = load_file(other / "generator" / "model.safetensors")
    tuned, fresh = build(dataset, tmp_path / "a", init_from=other), build(dataset, tmp_path / "b")
    for network in (tuned.plain_generator, tuned.average.model):
        assert all(torch.equal(value, given[name]) for name, value in network.state_dict().items())
    pairs = zip(
        tuned.plain_discriminator.state_dict().values(), fresh.plain_discriminator.state_dict().values(), strict=True
    )
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not any(optimizer.state for optimizer in tuned.optimizers.values())


def test_it_is_told_from_a_run_of_random_weights_by_its_description_alone(dataset, other, tmp_path, capsys):
    assert main(arguments(dataset, tmp_path / "run", steps=1, init_from=other / "generator_last")) == 0
    assert "beginning with the generator of" in capsys.readouterr().out
    training = json.loads((tmp_path / "run" / "generator" / "config.json").read_text())["training"]
    digest = hashlib.sha256((other / "generator_last" / "model.safetensors").read_bytes()).hexdigest()
    assert training["begun_with"]["weights_sha256"] == digest
    assert (training["begun_with"]["dataset"], training["begun_with"]["steps"]) == ("made-up land", 2)
    assert digest in (tmp_path / "run" / "generator" / "README.md").read_text()
    assert str(other) in (tmp_path / "run" / "config.yaml").read_text()
    assert "begun_with" not in json.loads((other / "generator" / "config.json").read_text())["training"]


def test_it_goes_on_bit_for_bit_even_where_the_other_run_is_gone(dataset, other, tmp_path):
    mine = shutil.copytree(other, tmp_path / "other")
    words = [arguments(dataset, tmp_path / n, steps=3, save_every=1, init_from=mine, resume="true") for n in "ab"]
    assert main(words[0]) == 0
    AcceleratorState._reset_state(reset_partial_state=True)
    assert main(words[1]) == 0
    shutil.rmtree(mine)
    shutil.rmtree(find_checkpoints(tmp_path / "b" / "checkpoints")[0])
    AcceleratorState._reset_state(reset_partial_state=True)
    assert main(words[1]) == 0
    assert same_state(tmp_path / "a", tmp_path / "b")


def test_statistics_of_the_norms_may_move_at_another_pace(dataset, other, tmp_path):
    assert build(dataset, tmp_path / "run", init_from=other, generator__norm_momentum=0.02) is not None


def test_pixels_of_another_size_are_warned_of(dataset, other, tmp_path):
    with pytest.warns(RSSpadeWarning) as told:
        begun = build(dataset, tmp_path / "run", init_from=given(other, tmp_path / "coarse", pixel_size_m=20.0))
    assert begun is not None  # a warning, not a refusal
    assert any("trained on pixels of 20 m, this dataset has 10 m" in str(warning.message) for warning in told)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (PLAIN, "a generator with --model pix2pix, as this run, found one with rs_spade"),
        ({"sources": "s1,dem"}, "--sources s1,dem, as this run, found one with s1,lulc,dem. Name the same --sources."),
        ({"generator__base_width": 8}, "--generator.base_width 8, as this run, found one with 4"),
        ({"season": "true"}, "--season true, as this run, found one with false"),
        ({"init_from": "nowhere"}, "--init_from nowhere: expected a run folder with generator/ in it"),
    ],
)
def test_another_network_is_refused_before_anything_is_written(dataset, other, tmp_path, capsys, asked, expected):
    assert main(arguments(dataset, tmp_path / "run", **{"init_from": other, **asked})) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def given(other, folder, **changes):
    """The other generator under another description."""
    model = RSSpade.from_pretrained(other)
    RSSpade(model.network, dataclasses.replace(model.info, **changes)).save_pretrained(folder)
    return folder


def test_other_bands_and_other_classes_are_refused(dataset, other, tmp_path):
    info = RSSpade.from_pretrained(other).info
    swapped = dataclasses.replace(info.architecture, optical_bands=("red", "green", "blue", "nir"))
    bands, classes = (
        given(other, tmp_path / "a", architecture=swapped),
        given(other, tmp_path / "b", landcover_scheme="igbp"),
    )
    with pytest.raises(InputError, match="the optical bands blue,green,red,nir, as this run, found one with red,green"):
        build(dataset, tmp_path / "run", init_from=bands)
    with pytest.raises(InputError, match=r"scheme dynamic_world, .* found one with igbp\. .*--landcover-to igbp"):
        build(dataset, tmp_path / "run", init_from=classes)


def test_nothing_is_unpickled(dataset, other, tmp_path):
    folder = shutil.copytree(other / "generator", tmp_path / "generator")
    (folder / "model.safetensors").unlink()
    torch.save(RSSpade.from_pretrained(other).network.state_dict(), folder / "model.safetensors")
    with pytest.raises(InputError, match="expected the weights of the network"):
        build(dataset, tmp_path / "run", init_from=folder)
