"""`rsspade evaluate --samples`: scores of draws."""

import json

import pytest
import torch

from rsspade.channels import num_channels
from rsspade.cli import main
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator


def save_model(folder, width):
    torch.manual_seed(0)
    channels = {name: num_channels(name, scheme=scheme_named("dynamic_world")) for name in ("s1", "dem")}
    architecture = GeneratorConfig(
        sources=channels, optical_bands=("blue", "green", "red", "nir"), base_width=4, depth=3, variety_width=width
    )
    RSSpade(build_generator(architecture), GeneratorInfo(architecture=architecture)).eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def data(make_dataset, tmp_path_factory):
    return str(make_dataset(tmp_path_factory.mktemp("draws") / "data").path)


def test_draws_are_scored_beside_the_deterministic_image(data, tmp_path, capsys):
    model = save_model(tmp_path / "generator", 4)
    found = {}
    for name, more in (("none", []), ("some", ["--samples", "4"]), ("again", ["--samples", "4", "--batch-size", "1"])):
        file = tmp_path / f"{name}.json"
        assert main(["evaluate", "--run", model, "--data", data, "--split", "train", "--json", str(file), *more]) == 0
        found[name] = json.loads(file.read_text())
    drawn = found["some"].pop("variety")
    assert found["some"] == found["none"]  # the deterministic scores are what they were
    assert drawn["samples"] == 4
    assert drawn["tiles"] == found["none"]["tiles"]
    assert drawn["psnr_of_mean"] == pytest.approx(found["none"]["psnr"], abs=1e-3)  # mirrored pairs
    assert drawn["psnr_of_one"] < drawn["psnr_of_mean"]
    assert drawn["pairwise_distance"] > 0
    assert drawn == pytest.approx(found["again"]["variety"], rel=1e-4)
    assert "4 draws per tile: PSNR of their mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("width", "samples", "message"),
    [
        (0, "2", "samples: expected a generator that was trained with variety, found one without"),
        (4, "0", "--samples: expected at least 1, found 0"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(data, tmp_path, capsys, width, samples, message):
    model = save_model(tmp_path / "generator", width)
    assert main(["evaluate", "--run", model, "--data", data, "--samples", samples]) == 2
    assert message in capsys.readouterr().err
