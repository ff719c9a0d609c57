"""Group norms in the place of batch norms: no sample sees another one, in training neither."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rsspade.channels import num_channels
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator
from rsspade.models.norms import set_norm
from rsspade.models.sync_norm import SyncBatchNorm

SOURCES = {name: num_channels(name, scheme=scheme_named("dynamic_world")) for name in ("s1", "lulc", "dem")}
MODELS = ("rs_spade", "control", "pix2pix", "spade")


def architecture(model, norm="group"):
    return GeneratorConfig(
        model=model, sources=SOURCES, optical_bands=("red", "nir"), base_width=4, depth=3, hidden_width=8, norm=norm
    )


def generator(model, norm="group"):
    torch.manual_seed(0)
    return build_generator(architecture(model, norm))


def mixed_batch():
    torch.manual_seed(1)
    given = {name: torch.randn(3, channels, 64, 64) for name, channels in SOURCES.items()}
    present = dict(
        zip(SOURCES, torch.tensor([[True, True, True], [True, False, False], [False, True, True]]).T, strict=True)
    )
    return given, present


def kinds(network):
    return {type(module) for module in network.modules()} & {SyncBatchNorm, nn.GroupNorm}


@pytest.mark.parametrize("model", MODELS)
def test_all_norms_are_of_the_kind_that_is_asked_for(model):
    assert kinds(generator(model)) == {nn.GroupNorm}
    assert (
        kinds(generator(model, "batch"))
        == kinds(build_generator(GeneratorConfig(sources=SOURCES, optical_bands=("red",))))
        == {SyncBatchNorm}
    )


@pytest.mark.parametrize("model", MODELS)
def test_in_training_a_sample_gets_what_it_gets_alone(model):
    conditions, present = mixed_batch()

    def farthest(norm):
        network = generator(model, norm).train()
        samples = [
            ({k: x[n : n + 1] for k, x in conditions.items()}, {k: x[n : n + 1] for k, x in present.items()})
            for n in range(3)
        ]
        # Copies, since the spectral norms of spade go on with each call.
        together, *alone = (copy.deepcopy(network)(*given).detach() for given in ((conditions, present), *samples))
        return float((together - torch.cat(alone)).abs().max())

    assert farthest("group") < 1e-5
    assert farthest("batch") > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model):
    network = generator(model)
    network(*mixed_batch()).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_checkpoint_says_which_norm_it_has(tmp_path):
    model = RSSpade(generator("rs_spade"), GeneratorInfo(architecture=architecture("rs_spade"))).eval()
    model.save_pretrained(tmp_path)
    again = RSSpade.from_pretrained(tmp_path)
    assert kinds(again.network) == {nn.GroupNorm}
    radar = {"s1": torch.randn(2, 64, 64)}
    assert torch.equal(again(radar), model(radar))


@given(features=st.integers(1, 600))
def test_groups_are_of_equal_size_and_not_small(features):
    network = nn.Sequential(SyncBatchNorm(features, affine=False))
    set_norm(network, "group")
    assert network[0].num_channels == features
    assert features % network[0].num_groups == 0
    assert features // network[0].num_groups >= min(features, 8)
    assert network[0].weight is None
