import pytest
import torch

from rsspade import losses
from rsspade.models import (
    DiscriminatorConfig,
    GeneratorConfig,
    build_discriminator,
    build_generator,
    num_stacked_channels,
    stack_conditions,
)
from rsspade.models.discriminator import most_halvings

SOURCES = {"s1": 2, "lulc": 3, "dem": 5}
NORMS = ("none", "instance", "spectral")


def discriminator(**options):
    torch.manual_seed(0)
    small = {"condition_channels": num_stacked_channels(SOURCES), "optical_channels": 4, "base_width": 4}
    return build_discriminator(DiscriminatorConfig(**(small | options)))


def inputs(batch=2, size=(64, 64)):
    torch.manual_seed(1)
    given = {name: torch.randn(batch, channels, *size) for name, channels in SOURCES.items()}
    mask = {name: torch.ones(batch, dtype=torch.bool) for name in SOURCES}
    return given, mask, torch.randn(batch, 4, *size)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scales", [1, 2])
def test_every_scale_gives_its_features_and_logits(norm, scales):
    given, mask, image = inputs(size=(65, 97))
    planes = stack_conditions(given, mask, SOURCES)
    judged = discriminator(norm=norm, scales=scales)(planes, image)
    assert len(judged) == scales
    for maps in judged:
        assert len(maps) == 5
        assert maps[-1].shape[:2] == (2, 1)
        assert all(torch.isfinite(m).all() for m in maps)
    assert judged[0][-1].shape[-2:] == (6, 10)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("layers", "scales"), [(1, 1), (2, 1), (3, 1), (1, 3), (3, 2)])
def test_the_smallest_image_that_it_judges_is_known(norm, layers, scales):
    net = discriminator(norm=norm, layers=layers, scales=scales)
    smallest = next(side for side in range(1, 200) if most_halvings(side) == layers + scales - 1)

    def judge(side):
        return net(torch.zeros(1, num_stacked_channels(SOURCES), side, side), torch.zeros(1, 4, side, side))

    assert judge(smallest)[-1][-1].shape == (1, 1, 1, 1)
    with pytest.raises((RuntimeError, ValueError)):
        judge(smallest - 1)


def test_three_layers_judge_patches_of_70_pixels():
    net = discriminator(norm="none")
    image = torch.zeros(1, 4, 256, 256, requires_grad=True)
    logits = net(torch.zeros(1, num_stacked_channels(SOURCES), 256, 256), image)[0][-1]
    logits[0, 0, 15, 15].backward()
    touched = image.grad.abs().sum(dim=(0, 1)) > 0
    assert int(touched.any(dim=0).sum()) == 70
    assert int(touched.any(dim=1).sum()) == 70


@pytest.mark.parametrize("norm", NORMS)
def test_it_looks_at_the_image_and_at_every_source(norm):
    given, mask, image = inputs()
    net = discriminator(norm=norm, scales=2).eval()

    def logits(given, mask, image):
        return torch.cat([m[-1].flatten() for m in net(stack_conditions(given, mask, SOURCES), image)])

    before = logits(given, mask, image)
    assert (logits(given, mask, image + 0.5 * torch.randn_like(image)) - before).abs().max() > 1e-4
    for name in SOURCES:
        other = {**given, name: given[name].flip(-1)}
        assert (logits(other, mask, image) - before).abs().max() > 1e-4
        hidden = {**mask, name: torch.zeros(2, dtype=torch.bool)}
        assert (logits(given, hidden, image) - before).abs().max() > 1e-4


def test_sizes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="sources and image of one size"):
        discriminator()(torch.zeros(1, 13, 64, 64), torch.zeros(1, 4, 32, 32))


def test_stacked_planes_say_what_is_absent():
    given = {"s1": torch.full((2, 2, 4, 4), 7.0), "dem": torch.full((2, 5, 2, 2), 3.0)}
    given["s1"][1] = float("nan")
    mask = {"s1": torch.tensor([True, False]), "dem": torch.tensor([True, True])}
    season = torch.tensor([[0.1, 0.2, 1.0], [0.0, 0.0, 0.0]])
    planes = stack_conditions(given, mask, SOURCES, when=season, when_channels=3)
    assert planes.shape == (2, num_stacked_channels(SOURCES, when_channels=3), 4, 4)
    means = planes.mean(dim=(2, 3))
    assert means[0].tolist() == pytest.approx([7, 7, 1] + [0] * 4 + [3] * 5 + [1] + [0.1, 0.2, 1])
    assert means[1].tolist() == pytest.approx([0, 0, 0] + [0] * 4 + [3] * 5 + [1] + [0, 0, 0])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", losses.ADVERSARIAL)
@pytest.mark.parametrize("model", ["rs_spade", "pix2pix", "spade"])
def test_each_network_steps_without_moving_the_other(model, kind, norm):
    torch.manual_seed(0)
    config = GeneratorConfig(
        model=model, sources=SOURCES, optical_bands=("b", "g", "r", "n"), base_width=2, depth=3, hidden_width=4
    )
    makes, judges = build_generator(config), discriminator(norm=norm, scales=2)
    given, mask, truth = inputs()
    planes, valid = stack_conditions(given, mask, SOURCES), torch.ones(2, 64, 64, dtype=torch.bool)

    def weights(net):
        return [p.detach().clone() for p in net.parameters()]

    def same(before, after):
        return [torch.equal(a, b) for a, b in zip(before, after, strict=True)]

    fake = makes(given, mask)
    real = truth.requires_grad_()
    before = weights(makes), weights(judges)
    on_real = judges(planes, real)
    loss = losses.adversarial_discriminator_loss(on_real, judges(planes, fake.detach()), kind=kind, valid=valid)
    (loss + losses.r1_penalty(on_real, real)).backward()
    assert all(p.grad is None for p in makes.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for n, p in judges.named_parameters() if "bias" not in n)
    torch.optim.SGD(judges.parameters(), lr=0.1).step()
    assert all(same(before[0], weights(makes)))
    assert not any(same(before[1][:1], weights(judges)[:1]))

    before = weights(makes), weights(judges)
    judges.requires_grad_(False)
    on_fake = judges(planes, fake)
    with torch.no_grad():
        on_real = judges(planes, truth)
    loss = losses.adversarial_generator_loss(on_fake, kind=kind, valid=valid)
    (loss + losses.feature_matching_loss(on_real, on_fake, valid=valid)).backward()
    torch.optim.SGD(makes.parameters(), lr=0.1).step()
    assert all(same(before[1], weights(judges)))
    assert not all(same(before[0], weights(makes)))
