"""What every generator promises, whatever it is made of."""

import copy

import pytest
import torch

from rsspade.channels import num_when
from rsspade.models import GeneratorConfig, build_generator, num_parameters

SOURCES = {"s1": 2, "lulc": 10, "dem": 5}
MODELS = ("rs_spade", "control", "pix2pix", "spade")
ALL = (True, True, True)
SUBSETS = [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False) if a or b or c]


def generator(model, *, bands=4, seed=0, **options):
    torch.manual_seed(seed)
    small = {"base_width": 4, "depth": 3, "hidden_width": 8, "embedding_width": 3, "full_width": 4, "edges": "repeat"}
    names = tuple(f"b{n}" for n in range(bands))
    return build_generator(GeneratorConfig(model=model, sources=SOURCES, optical_bands=names, **(small | options)))


def conditions(batch=2, height=64, width=64, *, seed=1, shrink=(1, 1, 1)):
    torch.manual_seed(seed)
    return {
        name: torch.randn(batch, channels, -(-height // by), -(-width // by))
        for (name, channels), by in zip(SOURCES.items(), shrink, strict=True)
    }


def presence(*samples):
    return {name: torch.tensor([sample[n] for sample in samples]) for n, name in enumerate(SOURCES)}


def used(model, **options):
    """A generator in eval mode whose running statistics have seen a batch."""
    net = generator(model, **options)
    for _ in range(3):
        net(conditions(4), presence(*SUBSETS[:4]))
    return net.eval()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("size", "bands"), [((64, 64), 4), ((65, 97), 1), ((130, 67), 13)])
def test_any_size_and_any_number_of_bands(model, size, bands):
    net = generator(model, bands=bands)
    image = net(conditions(2, *size), presence(ALL, ALL))
    assert image.shape == (2, bands, *size)
    assert torch.isfinite(image).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_deepest_pyramid_takes_the_smallest_tile_and_a_single_sample(model):
    net = generator(model, depth=6 if model != "spade" else 5, base_width=1)
    image = net(conditions(1, 65, 64), presence(ALL))
    assert image.shape == (1, 4, 65, 64)


@pytest.mark.parametrize("model", MODELS)
def test_ground_that_is_the_same_everywhere_gets_an_image_without_a_rim(model):
    even = {name: x[..., :1, :1].expand_as(x) for name, x in conditions(1, 256, 256).items()}
    image = used(model)(even, presence(ALL))  # the coarsest map has 32 px: all edges are repeated
    assert torch.allclose(image, image[..., :1, :1].expand_as(image), atol=1e-5)
    rimmed = used(model, edges="zeros")(even, presence(ALL))
    assert not torch.allclose(rimmed, rimmed[..., 128:129, 128:129].expand_as(rimmed), atol=1e-2)


@pytest.mark.parametrize("model", MODELS)
def test_sources_come_at_their_own_resolution(model):
    net = used(model)
    image = net(conditions(2, 66, 90, shrink=(2, 1, 3)), presence(ALL, ALL))
    assert image.shape == (2, 4, 66, 90)


def test_a_coarse_source_lands_where_a_fine_one_would():
    """The features of a source at half resolution are those of its doubled image, up to the interpolation."""
    net = generator("rs_spade")
    whole = conditions(1, seed=3)
    ramp = torch.linspace(0, 1, 32).expand(1, 2, 32, 32)
    coarse = net.embeddings({**whole, "s1": ramp}, presence(ALL))
    finer = torch.nn.functional.interpolate(ramp, scale_factor=2, mode="bilinear")
    weight = net.embeddings.by_source["s1"].conv.weight
    with torch.no_grad():
        weight[..., [0, 2], :] = 0  # looks at the pixel alone, so that the pixel size of the taps does not matter
        weight[..., [0, 2]] = 0
    fine = net.embeddings({**whole, "s1": finer}, presence(ALL))
    coarse = net.embeddings({**whole, "s1": ramp}, presence(ALL))
    assert torch.allclose(coarse, fine, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_the_content_of_an_absent_source_does_not_change_the_image(model, training):
    net = used(model).train(training)
    given, mask = conditions(), presence((True, False, True), (False, True, True))
    image = copy.deepcopy(net)(given, mask)  # a copy, since a call in training moves running values
    for filling in (float("nan"), float("inf"), 1e30):
        spoilt = {name: x.clone() for name, x in given.items()}
        spoilt["s1"][1] = filling
        spoilt["lulc"][0] = filling
        assert torch.equal(image, copy.deepcopy(net)(spoilt, mask))


@pytest.mark.parametrize("model", MODELS)
def test_no_gradient_is_lost_to_what_an_absent_source_holds(model):
    net = generator(model)
    given = conditions()
    given["dem"][:] = float("nan")
    net(given, presence((True, True, False), (True, False, False))).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("model", MODELS)
def test_leaving_a_source_out_is_the_same_as_saying_that_it_is_absent(model):
    net = used(model)
    given = conditions()
    image = net(given, presence((True, False, True), (True, False, True)))
    without = {name: x for name, x in given.items() if name != "lulc"}
    assert torch.equal(image, net(without, presence(ALL, ALL)))


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("model", MODELS)
def test_changing_any_present_source_changes_the_image(model, subset):
    net = used(model)
    given, mask = conditions(1), presence(subset)
    image = net(given, mask)
    for name, is_present in zip(SOURCES, subset, strict=True):
        changed = {**given, name: given[name] + 0.5}
        difference = (net(changed, mask) - image).abs().max()
        assert (difference > 1e-4) == is_present


@pytest.mark.parametrize("model", MODELS)
def test_absence_itself_is_seen(model):
    """A source that is absent is not a source of zeros."""
    net = used(model)
    given = {name: torch.zeros_like(x) for name, x in conditions(1).items()}
    assert (net(given, presence(ALL)) - net(given, presence((True, False, True)))).abs().max() > 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_of_mixed_subsets_gives_what_the_samples_give_alone(model):
    net = used(model)
    given = conditions(len(SUBSETS), 64, 80)
    together = net(given, presence(*SUBSETS))
    for n, subset in enumerate(SUBSETS):
        alone = net({name: x[n : n + 1] for name, x in given.items()}, presence(subset))
        assert torch.allclose(together[n : n + 1], alone, atol=1e-5)


@pytest.mark.parametrize("told", [(), ("season",), ("season", "sun")])
@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model, told):
    net = generator(model, **dict.fromkeys(told, True))
    known = torch.tensor([0.6, 0.8, 1.0, -0.5, 0.5, 0.7, 1.0])[: num_when(told)]
    day = torch.stack([known, torch.zeros_like(known)]) if told else None
    for samples in ((ALL, (True, False, False)), ((False, True, True), (False, False, True))):
        net(conditions(), presence(*samples), day).pow(2).sum().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert without == []


@pytest.mark.parametrize("told", ["season", "sun"])
@pytest.mark.parametrize("model", MODELS)
def test_season_and_sun_matter_and_unknown_is_a_value_of_its_own(model, told):
    net = generator(model, **{told: True})
    day = torch.tensor([[0.6, 0.8, 1.0, 0.3]])[:, : num_when((told,))]
    net.eval()
    given, mask = conditions(1), presence(ALL)
    unknown = net(given, mask)
    assert torch.equal(unknown, net(given, mask, torch.zeros_like(day)))
    assert (net(given, mask, day) - unknown).abs().max() > 1e-5
    assert (net(given, mask, -day) - net(given, mask, day)).abs().max() > 1e-5


@pytest.mark.parametrize("model", MODELS)
def test_a_season_that_has_no_place_is_refused(model):
    with pytest.raises(ValueError, match="built without"):
        generator(model)(conditions(), presence(ALL, ALL), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"when: expected \(2, 3\), found \(2, 2\)"):
        generator(model, season=True)(conditions(), presence(ALL, ALL), torch.zeros(2, 2))


@pytest.mark.parametrize("model", MODELS)
def test_wrong_inputs_are_refused_with_what_was_expected(model):
    net = generator(model)
    given, mask = conditions(), presence(ALL, ALL)
    with pytest.raises(ValueError, match=r"expected sources out of s1, lulc, dem, found palsar"):
        net({**given, "palsar": given["s1"]}, mask)
    with pytest.raises(ValueError, match=r"s1: expected \(2, 2, h, w\), found \(2, 3, 64, 64\)"):
        net({**given, "s1": torch.zeros(2, 3, 64, 64)}, mask)
    with pytest.raises(ValueError, match="dem: expected a presence mask, bool"):
        net(given, {**mask, "dem": torch.ones(2)})
    with pytest.raises(ValueError, match=r"lulc: expected a presence mask, .* found none"):
        net(given, {"s1": mask["s1"], "dem": mask["dem"]})
    with pytest.raises(ValueError, match="at least one source"):
        net({}, mask)


@pytest.mark.parametrize("model", MODELS)
def test_channels_last_gives_the_same_image(model):
    net = used(model)
    given, mask = conditions(), presence(ALL, ALL)
    image = net(given, mask)
    net = net.to(memory_format=torch.channels_last)
    turned = {name: x.contiguous(memory_format=torch.channels_last) for name, x in given.items()}
    again = net(turned, mask)
    assert again.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(image, again, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_bfloat16_gives_about_the_same_image(model):
    net = used(model)
    given, mask = conditions(), presence(ALL, ALL)
    image = net(given, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = net(given, mask)
    assert (again.float() - image).abs().max() < 0.1 * image.abs().max()


@pytest.mark.parametrize("model", MODELS)
def test_a_generator_learns_one_batch(model):
    net = generator(model, base_width=8, full_width=8)
    given, mask = conditions(2), presence(ALL, (True, False, True))
    truth = torch.stack(
        [given["s1"][:, 0], given["dem"][:, 1] * 2, given["s1"].sum(dim=1), 3 - given["dem"][:, 2]], dim=1
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (net(given, mask) - truth).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("model", MODELS)
def test_a_forward_pass_never_asks_the_device_for_a_value(model):
    """On a device without values, a branch on one or a copy to the host raises."""
    with torch.device("meta"):
        net = generator(model, season=True)
        given = {name: torch.empty(2, channels, 65, 97) for name, channels in SOURCES.items()}
        mask = {name: torch.empty(2, dtype=torch.bool) for name in SOURCES}
        image = net(given, mask, torch.empty(2, 3))
    assert image.shape == (2, 4, 65, 97)


def test_modulation_is_where_the_config_says():
    def modulated(net):
        return [block.modulation is not None for block in reversed(net.decoder)]  # fine to coarse

    assert modulated(generator("rs_spade", modulate="all")) == [True, True, True]
    assert modulated(generator("rs_spade", modulate="finest-2")) == [True, True, False]
    assert modulated(generator("rs_spade", modulate=(2,))) == [False, False, True]
    assert modulated(generator("rs_spade", modulate="none")) == [False, False, False]
    assert modulated(generator("control")) == [False, False, False]


def test_the_control_is_rs_spade_without_its_modulation():
    control, plain = generator("control"), generator("rs_spade", modulate="none")
    assert {k: v.shape for k, v in control.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}


def test_sizes_are_those_that_were_published():
    """Parameters at the default size, and of SPADE at the size of Park et al. for 256 px (92.5 million there)."""

    def count(model, **options):
        with torch.device("meta"):
            return num_parameters(
                build_generator(
                    GeneratorConfig(model=model, sources=SOURCES, optical_bands=("r", "g", "b", "nir"), **options)
                )
            )

    sizes = {model: count(model) for model in MODELS}
    assert sizes["control"] < sizes["rs_spade"] < 1.2 * sizes["pix2pix"]
    assert 85e6 < count("spade", base_width=64, depth=6) < 105e6
