import json
import subprocess
import sys

import pytest

from rsspade.errors import ConfigError
from rsspade.models import DiscriminatorConfig, GeneratorConfig, build_generator
from rsspade.models.edges import Edged

GOOD = {"sources": {"s1": 2, "lulc": 10, "dem": 5}, "optical_bands": ("blue", "green", "red", "nir")}


def test_a_config_survives_json_with_its_order_of_sources():
    config = GeneratorConfig(**GOOD, modulate=(0, 2), season=True)
    text = json.dumps(config.to_dict(), sort_keys=True)
    back = GeneratorConfig.from_dict(json.loads(text))
    assert back == config
    assert list(back.sources) == ["s1", "lulc", "dem"]
    assert back.modulate == (0, 2)
    assert back.optical_bands == GOOD["optical_bands"]


def test_a_folder_from_before_edges_were_repeated_keeps_its_zeros():
    stored = GeneratorConfig(**GOOD, edges="repeat").to_dict()
    for content, repeats in ((stored, True), ({k: v for k, v in stored.items() if k != "edges"}, False)):
        layers = [m for m in build_generator(GeneratorConfig.from_dict(content)).modules() if isinstance(m, Edged)]
        assert layers
        assert all(layer.repeats_edges == repeats for layer in layers)


def test_a_discriminator_config_survives_json():
    config = DiscriminatorConfig(condition_channels=20, optical_channels=4, scales=2, norm="instance")
    assert DiscriminatorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "rs_spad"}, r"generator\.model: expected one of .* found 'rs_spad'\. Did you mean rs_spade\?"),
        (
            {"edges": "repeated"},
            r"generator\.edges: expected one of repeat, zeros, found 'repeated'\. Did you mean repeat\?",
        ),
        ({"norm": "grop"}, r"generator\.norm: expected one of batch, group, found 'grop'\. Did you mean group\?"),
        ({"base_width": 0}, r"generator\.base_width: expected a whole number above 0, found 0"),
        ({"embedding_width": True}, r"generator\.embedding_width: expected a whole number above 0, found True"),
        ({"depth": 1}, r"generator\.depth: expected a whole number from 2 to 8, found 1"),
        ({"depth": 3.0}, r"generator\.depth"),
        ({"sources": {}}, r"generator\.sources: expected at least one name"),
        ({"sources": {"s1": 0}}, r"generator\.sources"),
        ({"sources": ["s1"]}, r"generator\.sources"),
        ({"optical_bands": ()}, r"generator\.optical_bands: expected names, each once"),
        ({"optical_bands": ("red", "red")}, r"generator\.optical_bands"),
        ({"modulate": "finest-9"}, r"generator\.modulate: expected all, none, finest-1 … finest-5"),
        ({"modulate": "finest"}, r"generator\.modulate"),
        ({"modulate": (5,)}, r"generator\.modulate: .* levels out of 0 … 4, found \(5,\)"),
        ({"modulate": 3}, r"generator\.modulate"),
        ({"model": "pix2pix", "modulate": "all"}, r"generator\.modulate: expected the default"),
        ({"season": 1}, r"generator\.season: expected true or false"),
        ({"sun": "yes"}, r"generator\.sun: expected true or false"),
        ({"norm_momentum": 0.0}, r"generator\.norm_momentum: expected a number in \(0, 1\]"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        GeneratorConfig(**(GOOD | change))


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"generator\.base_with: .* Did you mean base_width\?"):
        GeneratorConfig.from_dict({**GOOD, "base_with": 8})
    with pytest.raises(ConfigError, match=r"discriminator\.layer: .* Did you mean layers\?"):
        DiscriminatorConfig.from_dict({"condition_channels": 1, "optical_channels": 1, "layer": 2})


def test_a_missing_option_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"generator: expected sources, found nothing"):
        GeneratorConfig.from_dict({"optical_bands": ["red"]})


def test_a_discriminator_that_cannot_be_built_is_refused():
    with pytest.raises(ConfigError, match=r"discriminator\.norm: .* Did you mean spectral\?"):
        DiscriminatorConfig(condition_channels=1, optical_channels=1, norm="spektral")
    with pytest.raises(ConfigError, match=r"discriminator\.scales: expected a whole number above 0"):
        DiscriminatorConfig(condition_channels=1, optical_channels=1, scales=0)


OPTIONS = {
    "model": "pix2pix", "sources": {"s1": 2}, "optical_bands": ("red",), "base_width": 8, "depth": 4,
    "modulate": "all", "embedding_width": 5, "full_width": 9, "season": True, "sun": True, "norm_momentum": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("name", [*OPTIONS, "hidden_width"])
def test_every_option_changes_what_is_built(name):
    model = {"model": "spade"} if name == "hidden_width" else {}
    before = build_generator(GeneratorConfig(**(GOOD | model)))
    after = build_generator(GeneratorConfig(**(GOOD | model | {name: OPTIONS.get(name, 32)})))
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (before, after)]
    momenta = [{getattr(m, "momentum", None) for m in net.modules()} for net in (before, after)]
    assert shapes[0] != shapes[1] or momenta[0] != momenta[1]


def test_the_models_load_without_what_reads_files():
    heavy = ("rasterio", "matplotlib", "scipy", "distributed", "accelerate")
    code = f"import sys, rsspade.models, rsspade.losses; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
