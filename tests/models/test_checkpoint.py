"""The folder of a generator: it says what it is, and what it does not say it refuses."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rsspade.channels import num_channels
from rsspade.errors import InputError, OutputError
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator

SCHEME = scheme_named("dynamic_world")


@pytest.fixture(scope="module", params=["rs_spade", "pix2pix", "spade", "control"])
def model(request):
    torch.manual_seed(0)
    sources = {name: num_channels(name, scheme=SCHEME) for name in ("s1", "lulc", "dem")}
    bands = ("blue", "green", "red", "nir", "swir16")
    architecture = GeneratorConfig(
        model=request.param,
        sources=sources,
        optical_bands=bands,
        base_width=4,
        depth=3,
        hidden_width=4,
        season=True,
        sun=True,
    )
    info = GeneratorInfo(architecture=architecture, pixel_size_m=10.0, split_sha256="ab" * 32, training={"steps": 3})
    return RSSpade(build_generator(architecture), info).eval()


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    return {
        "s1": rng.normal(-12, 3, (2, 2, 70, 64)).astype(np.float32),
        "lulc": rng.integers(0, 9, (2, 1, 70, 64)).astype(np.uint8),
        "dem": rng.uniform(1, 40, (2, 4, 35, 32)).astype(np.float32),  # at its own resolution
    }


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "generator")
    return tmp_path / "generator"


def test_what_was_saved_gives_the_same_images(model, folder, scene):
    again = RSSpade.from_pretrained(folder)
    assert not again.training
    assert again.info == model.info
    image = model(scene, day_of_year=180, sun=(150.0, 40.0))
    assert image.shape == (2, 5, 70, 64)
    assert torch.equal(again(scene, day_of_year=180, sun=(150.0, 40.0)), image)


def test_each_image_of_a_batch_has_a_sun_of_its_own(model, scene):
    suns = torch.tensor([[150.0, 40.0], [float("nan"), float("nan")]])
    both = model(scene, sun=suns)
    for n, sun in enumerate(((150.0, 40.0), None)):
        assert (both[n] - model({name: values[n] for name, values in scene.items()}, sun=sun)).abs().max() < 1e-5
    assert (both[0] - model(scene)[0]).abs().max() > 1e-5


def test_a_folder_that_is_older_than_the_sun_still_loads(tmp_path, scene):
    torch.manual_seed(0)
    architecture = GeneratorConfig(sources={"s1": 2}, optical_bands=("red",), base_width=4, depth=3, season=True)
    model = RSSpade(build_generator(architecture), GeneratorInfo(architecture=architecture)).eval()
    model.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    del content["architecture"]["sun"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    again, given = RSSpade.from_pretrained(tmp_path), {"s1": scene["s1"]}
    assert torch.equal(again(given, day_of_year=9, sun=(150.0, 40.0)), model(given, day_of_year=9))


def test_any_subset_gives_an_image_and_one_sample_stands_alone(model, scene):
    for names in (["s1"], ["lulc", "dem"], ["dem", "s1"]):
        given = {name: scene[name] for name in names}
        image = model(given)
        assert torch.isfinite(image).all()
        alone = model({name: values[1] for name, values in given.items()})
        assert alone.shape == image[1].shape
        torch.testing.assert_close(alone, image[1], atol=1e-5, rtol=0)


def test_a_source_that_holds_nothing_is_one_that_is_not_given(model, scene):
    without = model({"s1": scene["s1"], "lulc": scene["lulc"]})
    empty = scene | {"dem": np.full_like(scene["dem"], np.nan)}
    torch.testing.assert_close(model(empty), without, atol=1e-5, rtol=0)
    no_cover = model({"s1": scene["s1"]})
    for values in (np.uint8(255), np.float32(255), np.float32(np.nan)):
        empty = {"s1": scene["s1"], "lulc": np.full(scene["lulc"].shape, values)}
        torch.testing.assert_close(model(empty), no_cover, atol=1e-5, rtol=0)
    masked = model(scene, valid={"dem": np.zeros((2, 35, 32), bool)})
    torch.testing.assert_close(masked, without, atol=1e-5, rtol=0)


def test_the_same_model_gives_the_same_bytes_and_replaces_the_folder(model, folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "model.safetensors").write_bytes(b"of an earlier one")
    model.save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert sorted(before) == ["README.md", "config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["generator"]


def test_other_files_in_the_folder_stay(model, folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "scores.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"of an earlier one")
    model.save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {**before, "scores.json": b"{}"}
    work = folder.parent / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")
    (work / "README.md").write_text("of the thesis")
    model.save_pretrained(work)
    assert {p.name: p.read_bytes() for p in work.iterdir()} == {
        **before,
        "thesis.txt": b"years of work",
        "README.md": b"of the thesis",
    }
    with pytest.raises(OutputError, match=r"thesis\.txt: expected a folder"):
        model.save_pretrained(work / "thesis.txt")
    assert sorted(p.name for p in folder.parent.iterdir()) == ["generator", "work"]


def test_the_card_names_sources_units_and_the_split(folder):
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: rsspade\n")
    assert all(text in card for text in ("| `s1` | vv, vh | dB |", "0 water", "10 m", "ab" * 32, "| steps | 3 |"))


def test_unknown_sources_and_schemes_are_refused(model, scene):
    with pytest.raises(InputError, match=r"expected a subset of s1, lulc, dem, found 'S1'\. Did you mean s1\?"):
        model({"S1": scene["s1"]})
    with pytest.raises(InputError, match="expected at least one of s1, lulc, dem, found none"):
        model({})
    model.check_scheme("dynamic_world", "data")
    with pytest.raises(
        InputError, match="data: expected land cover in the scheme dynamic_world, the model's, found worldcover"
    ):
        model.check_scheme("worldcover", "data")


def change(path, **content):
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: change(f / "config.json", version=2), "version 2"),
        (lambda f: change(f / "config.json", landcover={"scheme": "dynamic_world", "classes": {"0": "sea"}}), "other classes"),
        (lambda f: change(f / "config.json", scaling={}), "a difference in"),
        (lambda f: (f / "config.json").write_text("{"), "expected the description of a generator"),
        (lambda f: (f / "config.json").unlink(), "No such file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04K\x01."), "expected the weights of the network"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1]), "expected the weights"),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_folder_is_refused(folder, damage, expected):
    damage(folder)
    with pytest.raises(InputError, match=expected):
        RSSpade.from_pretrained(folder)


def test_weights_of_another_network_are_refused(folder):
    content = json.loads((folder / "config.json").read_text())
    change(folder / "config.json", architecture=content["architecture"] | {"base_width": 8})
    with pytest.raises(InputError, match=r"expected the weights of the network that config\.json describes"):
        RSSpade.from_pretrained(folder)


def test_a_description_of_a_network_larger_than_any_memory_is_refused_before_it_is_built(folder):
    content = json.loads((folder / "config.json").read_text())
    change(folder / "config.json", architecture=content["architecture"] | {"base_width": 2**20})
    with pytest.raises(InputError, match=r"found .*: [0-9×]+ instead of [0-9×]+"):
        RSSpade.from_pretrained(folder)


def test_weights_that_are_no_numbers_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"NaN or infinity in {re.escape(name)}: the training diverged"):
        RSSpade.from_pretrained(folder)


def test_a_folder_that_is_not_there_is_refused_by_its_name(tmp_path):
    with pytest.raises(InputError, match="No such file or directory"):
        RSSpade.from_pretrained(tmp_path / "nothing")
