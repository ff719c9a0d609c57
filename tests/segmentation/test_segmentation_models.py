"""What every segmentation network keeps to, and its folder."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from rsspade.errors import ConfigError, InputError
from rsspade.evaluation import find_generator
from rsspade.models import RSSpade
from segmentation.config import SegmentationConfig
from segmentation.models import MODELS, Segmenter, SegmenterConfig, SegmenterInfo, build_segmenter, smp_networks
from segmentation.models.contract import stack_sources


def build(model="rs_unet", sources=None, classes=9):
    if model != "rs_unet":
        try:
            import segmentation_models_pytorch  # noqa: F401
        except (ImportError, RuntimeError, OSError) as err:
            pytest.skip(f"segmentation_models_pytorch cannot be used here: {str(err)[:80]}")
    config = SegmenterConfig(model=model, sources=sources or {"s2": 4}, num_classes=classes, base_width=2)
    torch.manual_seed(0)
    return build_segmenter(config)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (96, 128)])
def test_logits_have_the_size_of_the_input(model, size):
    network = build(model).eval()
    with torch.no_grad():
        found = network({"s2": torch.randn(2, 4, *size)})
    assert found.logits.shape == (2, 9, *size)
    assert torch.isfinite(found.logits).all()


@pytest.mark.parametrize("model", MODELS)
def test_several_sources_of_many_bands_and_other_sizes_make_one_map(model):
    network = build(model, {"s2": 10, "s1": 2, "dem": 5}).eval()
    inputs = {"dem": torch.randn(1, 5, 32, 32), "s2": torch.randn(1, 10, 64, 96), "s1": torch.randn(1, 2, 64, 96)}
    with torch.no_grad():
        before = network(inputs).logits
        changed = [network(inputs | {name: inputs[name] + 1}).logits for name in inputs]
    assert before.shape == (1, 9, 64, 96)
    assert not any(torch.equal(before, after) for after in changed)


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model):
    network = build(model).train()
    network({"s2": torch.randn(2, 4, 64, 64)}).logits.square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("model", MODELS)
def test_norms_see_all_processes(model):
    assert not any(type(m) is torch.nn.BatchNorm2d for m in build(model).modules())


def test_rs_unet_is_that_of_the_paper():
    network = build_segmenter(SegmenterConfig(sources={"s2": 4}, num_classes=9))
    assert len(network.down) == len(network.up) == 5
    assert network.pool.kernel_size == 3
    kernels = {m.kernel_size for m in network.modules() if isinstance(m, torch.nn.Conv2d)}
    assert kernels == {(3, 3), (1, 1)}
    assert network.head.out_channels == 9


def test_a_stretch_gives_dark_covers_room_and_keeps_order_and_gaps():
    reflectance = torch.tensor([-0.5, 0.0, 0.03, 0.05, 0.2, 0.8, 0.82])
    channels = ((reflectance - 0.2) / 0.2)[None, None, None]
    stretched = stack_sources({"s2": channels}, {"s2": 1}, stretch="log")[0, 0, 0]
    assert torch.isfinite(stretched).all()
    assert (stretched.diff() > 0).all()
    assert stretched[4].abs() < 1e-6  # no data is 0 before and after
    assert stretched[3] - stretched[2] > 10 * (stretched[6] - stretched[5])
    other = {"s1": torch.full((1, 2, 1, 7), -0.7), "s2": channels}
    assert torch.equal(stack_sources(other, {"s2": 1, "s1": 2}, stretch="log")[:, 1:], other["s1"])


def test_a_folder_from_before_the_stretch_is_read_as_it_was_trained():
    content = SegmenterConfig(sources={"s2": 4}, num_classes=9, stretch="log").to_dict()
    assert SegmenterConfig.from_dict(content).stretch == "log"
    del content["stretch"]
    assert SegmenterConfig.from_dict(content).stretch == "none"


def test_padding_adds_nothing_where_the_size_fits(monkeypatch):
    network = build().eval()
    image = torch.randn(1, 4, 70, 90)
    with torch.no_grad():
        found = network({"s2": image}).logits
        padded = torch.nn.functional.pad(image, (3, 3, 13, 13), mode="reflect")  # 96 × 96
        whole = network({"s2": padded}).logits
    assert torch.equal(found, whole[..., 13:83, 3:93])


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, "found none"),
        ({"s1": (1, 2, 64, 64)}, "found s1"),
        ({"s2": (1, 3, 64, 64)}, r"s2: expected \(1, 4, h, w\)"),
    ],
)
def test_other_inputs_are_refused(inputs, expected):
    with pytest.raises(ValueError, match=expected):
        build()({name: torch.zeros(shape) for name, shape in inputs.items()})


def test_a_folder_from_before_the_leak_has_plain_rectifiers():
    content = SegmenterConfig(sources={"s2": 4}, num_classes=9, leak=0.1).to_dict()
    del content["leak"]
    network = build_segmenter(SegmenterConfig.from_dict(content))
    slopes = {m.negative_slope for m in network.modules() if isinstance(m, torch.nn.LeakyReLU)}
    assert slopes == {0.0}


@pytest.mark.parametrize(("leak", "lives"), [(0.0, False), (0.1, True)])
def test_a_level_that_was_pushed_below_zero_learns_on_where_rectifiers_leak(leak, lives):
    torch.manual_seed(0)
    network = build_segmenter(
        SegmenterConfig(sources={"s2": 4}, num_classes=3, base_width=4, depth=3, leak=leak)
    ).train()
    norm = [m for m in network.merge[-2].modules() if hasattr(m, "running_mean")][-1]
    torch.nn.init.constant_(norm.bias, -100.0)
    network({"s2": torch.randn(2, 4, 64, 64)}).logits.square().mean().backward()
    reached = [p.grad is not None and bool(p.grad.any()) for p in network.merge[-3].parameters()]
    assert all(reached) if lives else not any(reached)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "vnet"},
        {"sources": {}},
        {"sources": {"lulc": 9}},
        {"num_classes": 1},
        {"depth": 9},
        {"stretch": "exp"},
        {"leak": 1.0},
    ],
)
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        SegmenterConfig(**{"sources": {"s2": 4}, "num_classes": 9} | wrong)


def test_a_library_model_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    with pytest.raises(ConfigError, match=r'pip install "rsspade\[models\]"'):
        build_segmenter(SegmenterConfig(model="unet", sources={"s2": 4}, num_classes=9))


def test_an_encoder_gets_weights_from_elsewhere_only_where_they_are_named(monkeypatch):
    asked = []

    def unet(**given):
        asked.append(given["encoder_weights"])
        return torch.nn.Conv2d(given["in_channels"], given["classes"], 1)

    monkeypatch.setattr(smp_networks, "_library", lambda: SimpleNamespace(Unet=unet))
    config = SegmenterConfig(model="unet", sources={"s2": 4}, num_classes=9)
    assert SegmentationConfig(data="data", out="run").network.pretrained is None
    build_segmenter(config)
    build_segmenter(config, pretrained="imagenet")
    assert asked == [None, "imagenet"]


@pytest.fixture
def segmenter():
    config = SegmenterConfig(sources={"s2": 4, "s1": 2}, num_classes=9, base_width=2, depth=2)
    bands = {"s2": ("blue", "green", "red", "nir"), "s1": ("vv", "vh")}
    info = SegmenterInfo(architecture=config, bands=bands, landcover_scheme="dynamic_world", training={"step": 3})
    return Segmenter(build_segmenter(config), info).eval()


def test_a_folder_loads_as_the_same_network(segmenter, tmp_path):
    segmenter.save_pretrained(tmp_path / "run" / "model")
    again = Segmenter.from_pretrained(tmp_path / "run")
    assert again.info == segmenter.info
    inputs = {"s2": torch.rand(1, 4, 64, 64), "s1": torch.randn(1, 2, 64, 64) - 12}
    assert torch.equal(again.classify(inputs), segmenter.classify(inputs))
    assert again.probabilities(inputs).sum(dim=1) == pytest.approx(torch.ones(1, 64, 64), abs=1e-5)
    assert "land cover from s2, s1" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_the_weights_of_the_losses_are_divided_out_of_the_probabilities(segmenter, tmp_path):
    weights = torch.linspace(0.5, 2.5, 9)
    weighted = Segmenter(segmenter.network, dataclasses.replace(segmenter.info, class_weights=tuple(weights.tolist())))
    weighted.save_pretrained(tmp_path / "model")
    inputs = {"s2": torch.rand(1, 4, 64, 64), "s1": torch.randn(1, 2, 64, 64) - 12}
    expected = segmenter.probabilities(inputs) / weights[:, None, None]
    found = Segmenter.from_pretrained(tmp_path / "model").probabilities(inputs)
    torch.testing.assert_close(found, expected / expected.sum(dim=1, keepdim=True))


def test_pixels_without_data_are_the_same_whatever_they_hold(segmenter):
    s2, s1 = torch.rand(1, 4, 64, 64), torch.randn(1, 2, 64, 64) - 12
    other = s2.clone()
    s2[:, :, 10:20], other[:, :, 10:20] = float("nan"), 7.0
    valid = torch.ones(1, 64, 64, dtype=torch.bool)
    valid[:, 10:20] = False
    assert torch.equal(segmenter({"s2": s2, "s1": s1}), segmenter({"s2": other, "s1": s1}, {"s2": valid}))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda c: c.update(version=2), "version 2"),
        (lambda c: c["landcover"]["classes"].update({"0": "sea"}), "other classes under the name dynamic_world"),
        (lambda c: c["architecture"].update(num_classes=8), "bands or classes that are not the network's"),
        (lambda c: c.update(class_weights=[1.0] * 8), "weights that are not of its classes"),
        (lambda c: c.update(class_weights=[0.0] * 9), "weights that are not of its classes"),
        (lambda c: c["architecture"].update(depth=3), "the weights of the network that config.json describes"),
        (lambda c: c["architecture"].update(new=1), "found 'new'"),
    ],
)
def test_a_foreign_folder_is_refused(segmenter, tmp_path, damage, expected):
    segmenter.save_pretrained(tmp_path / "model")
    content = json.loads((tmp_path / "model" / "config.json").read_text())
    damage(content)
    (tmp_path / "model" / "config.json").write_text(json.dumps(content))
    with pytest.raises((InputError, ConfigError), match=expected):
        Segmenter.from_pretrained(tmp_path / "model")


def test_a_folder_without_weights_is_refused(segmenter, tmp_path):
    segmenter.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"expected a file of a model folder, found No such file"):
        Segmenter.from_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(InputError, match="Name a finished run"):
        Segmenter.from_pretrained(tmp_path / "model")


def test_a_run_of_the_other_kind_is_called_by_its_name(tmp_path):
    for kind in ("generator", "model"):
        (tmp_path / kind / kind).mkdir(parents=True)
        (tmp_path / kind / kind / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"expected a run folder with model/ in it, found a run of train_gan\.py"):
        Segmenter.from_pretrained(tmp_path / "generator")
    with pytest.raises(
        InputError, match=r"expected a run folder with generator/ in it, found a run of segmentation\.train"
    ):
        RSSpade.from_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=r"found a run of segmentation\.train"):
        find_generator(tmp_path / "model")
