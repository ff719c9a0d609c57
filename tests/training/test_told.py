"""Season and sun: a model that was trained with them is told them by every command, and its image follows."""

import json
import shutil

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tiny_runs import arguments, lines

from rsspade.cli import main as rsspade
from rsspade.data.geotiff import read_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.models import RSSpade
from rsspade.report.answers import answer_tile
from rsspade.training import loop
from rsspade.training.__main__ import main
from rsspade.training.state import find_checkpoints


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("told") / "run"
    assert main(arguments(dataset, out, steps=4, season="true", sun="true")) == 0
    AcceleratorState._reset_state(reset_partial_state=True)
    return out


@pytest.fixture(scope="module")
def under_another_sun(dataset, tmp_path_factory):
    """The same tiles, their images said to have been taken in the evening."""
    folder = tmp_path_factory.mktemp("evening") / "data"
    shutil.copytree(dataset, folder, ignore=shutil.ignore_patterns(".packed"))
    content = json.loads((folder / "dataset.json").read_text())
    scenes = {row.scene for row in DatasetFolder.open(folder).rows}
    (folder / "dataset.json").write_text(json.dumps(content | {"sun": {scene: [290.0, 12.0] for scene in scenes}}))
    return folder


def test_the_image_follows_sun_and_day_after_a_few_steps(run):
    model = RSSpade.from_pretrained(run / "generator_last")
    assert model.info.architecture.told == ("season", "sun")
    given = {"s1": torch.full((1, 2, 64, 64), -12.0)}
    morning, evening = (model(given, sun=sun, day_of_year=170) for sun in ((120.0, 40.0), (290.0, 12.0)))
    assert (morning - evening).abs().max() > 1e-4
    assert (morning - model(given, sun=(120.0, 40.0), day_of_year=20)).abs().max() > 1e-4
    assert (morning - model(given, day_of_year=170)).abs().max() > 1e-4  # an unknown sun is a third


def test_training_is_told_the_sun_of_its_tiles(run, under_another_sun, tmp_path):
    assert main(arguments(under_another_sun, tmp_path / "run", steps=4, season="true", sun="true")) == 0
    ends = [
        load_file(find_checkpoints(folder / "checkpoints")[0] / "generator.safetensors")
        for folder in (run, tmp_path / "run")
    ]
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    scores = [lines(folder)[-1]["val"]["psnr"] for folder in (run, tmp_path / "run")]
    assert scores[0] != scores[1]


@pytest.mark.parametrize("share", [0, 0.9])
def test_training_hides_the_moment_as_often_as_a_source(dataset, tmp_path, monkeypatch, share):
    known = []
    generate = loop.generate

    def watched(network, batch):
        known.extend((batch.when != 0).any(dim=1).tolist())
        return generate(network, batch)

    monkeypatch.setattr(loop, "generate", watched)
    assert main(arguments(dataset, tmp_path / "run", steps=8, season="true", source_dropout=share)) == 0
    assert len(known) >= 8
    assert all(known) if share == 0 else not all(known)


def test_training_shows_the_subsets_asked_for_and_no_others(dataset, tmp_path, monkeypatch):
    shown = set()
    generate = loop.generate

    def watched(network, batch):
        flags = torch.stack([batch.present[name] for name in ("s1", "lulc", "dem")], dim=1)
        shown.update(map(tuple, flags.tolist()))
        return generate(network, batch)

    monkeypatch.setattr(loop, "generate", watched)
    assert main(arguments(dataset, tmp_path / "run", steps=8, subsets="lulc+s1:3,dem")) == 0
    assert shown == {(True, True, False), (False, False, True)}
    assert RSSpade.from_pretrained(tmp_path / "run" / "generator").info.training["subsets"] == ["lulc+s1:3", "dem"]


def test_evaluate_tells_the_sun(run, dataset, under_another_sun, tmp_path):
    found = []
    for number, data in enumerate((dataset, under_another_sun)):
        out = tmp_path / f"{number}.json"
        assert rsspade(["evaluate", "--run", str(run), "--data", str(data), "--json", str(out)]) == 0
        found.append(json.loads(out.read_text()))
    assert found[0]["psnr"] != found[1]["psnr"]
    assert found[0]["baselines"] == found[1]["baselines"]


@pytest.mark.parametrize("samples", ["1", "2"])
def test_generate_tells_the_sun_and_hands_it_on(run, dataset, under_another_sun, tmp_path, samples):
    images = []
    for number, data in enumerate((dataset, under_another_sun)):
        out = tmp_path / str(number)
        assert (
            rsspade(["generate", "--run", str(run), "--data", str(data), "--out", str(out), "--samples", samples]) == 0
        )
        made = DatasetFolder.open(out)
        images.append(read_tile(made.tile_path("s2", made.rows[0].tile), band_names=made.optical_bands))
    assert made.sun(made.rows[0].tile) == (290.0, 12.0)
    assert (images[0] != images[1]).any()


def test_pictures_tell_the_sun(run, dataset, under_another_sun):
    model = RSSpade.from_pretrained(run / "generator_last")
    pair = [DatasetFolder.open(data) for data in (dataset, under_another_sun)]
    images = [answer_tile(model, data, data.rows[0]).image for data in pair]
    assert (images[0] != images[1]).any()


def test_a_scene_is_told_the_date_that_is_wanted(run, dataset, tmp_path, capsys):
    place = [str(dataset / "DEM" / "s0_0_0.tif")]
    images = []
    for day in ("2023-01-10", "2023-07-10", ""):
        out = tmp_path / f"scene{day}.tif"
        words = ["scene", "--run", str(run), "--dem", *place, "--tile", "64", "--overlap", "16", "--out", str(out)]
        assert rsspade([*words, *(["--date", day] if day else [])]) == 0
        images.append(out.read_bytes())
        told = "warning: the date of the image wanted is not known" in capsys.readouterr().err
        assert told == (not day)
    assert len(set(images)) == 3
    capsys.readouterr()
    assert rsspade([*words, "--date", "10.7.2023"]) == 2
    assert "--date: expected a date as YYYY-MM-DD, found '10.7.2023'" in capsys.readouterr().err


def test_season_and_sun_of_tiles_without_dates_are_told_to_be_idle(make_dataset, tmp_path, capsys):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1), dates=("", "")).path
    assert main(arguments(data, tmp_path / "run", steps=1, batch_size=1, season="true", sun="true")) == 0
    err = capsys.readouterr().err
    assert all(f"warning: --{name} has no effect" in err for name in ("season", "sun"))
