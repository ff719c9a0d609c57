"""Drawing: what holds for the samples of every generator."""

import numpy as np
import pytest
import torch

from rsspade.errors import InputError
from rsspade.models import MODELS, GeneratorConfig, GeneratorInfo, RSSpade, build_generator
from rsspade.models.noise import NoiseField
from rsspade.models.variety import STRENGTH, Noise, noise_of_field, random_noise

SOURCES = {"s1": 2, "lulc": 10, "dem": 5}


def network(model, width=4, **options):
    torch.manual_seed(0)
    small = {"base_width": 4, "depth": 3, "hidden_width": 8, "embedding_width": 3, "full_width": 4}
    config = GeneratorConfig(
        model=model, sources=SOURCES, optical_bands=("blue", "green", "red"), variety_width=width, **(small | options)
    )
    return build_generator(config).eval(), GeneratorInfo(architecture=config)


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request):
    return RSSpade(*network(request.param))


def scene(batch=2, height=70, width=64):
    return {"s1": np.random.default_rng(0).normal(-12, 3, (batch, 2, height, width)).astype(np.float32)}


def draw(model, samples=range(3), names=("a", "b"), origins=((0, 0), (64, 8)), **options):
    return model.draw(scene(), samples=samples, names=names, origins=origins, **options)


def test_draws_differ_and_lie_around_the_deterministic_image(model):
    image, draws = draw(model)
    assert draws.shape == (2, 3, 3, 70, 64)
    torch.testing.assert_close(image, model(scene()))
    torch.testing.assert_close(draws[:, :2].mean(dim=1), image)  # a mirrored pair
    assert (draws[:, 2] - draws[:, 0]).abs().mean() > 1e-4
    assert (draw(model, seed=1)[1] - draws).abs().mean() > 1e-4


def test_a_sample_is_the_same_whichever_others_are_asked_for_and_a_tile_alone_what_a_batch_gives(model):
    _, draws = draw(model, range(11))
    torch.testing.assert_close(draw(model, [9, 2])[1], draws[:, [9, 2]])
    assert (draws[:, 8:] - draws[:, :3]).abs().mean() > 1e-4  # the next block is another
    _, alone = model.draw({"s1": scene()["s1"][1]}, samples=[2], names=["b"], origins=[(64, 8)])
    torch.testing.assert_close(alone[0], draws[1, 2], atol=1e-5, rtol=0)


def test_the_spread_of_eight_samples_is_the_one_that_was_learned():
    model = RSSpade(*network("rs_spade"))
    conditions, present, season, _ = model._inputs(scene(), None, None)
    size = (70, 64)
    noise = Noise([noise_of_field(NoiseField(0), (0, 0), size, 3).expand(2, -1, -1, -1)], size)
    _, _, variance = model.network(conditions, present, season, noise)
    image, draws = draw(model, range(8))
    found = (draws - image[:, None]).square().mean(dim=1).sum(dim=1)
    scale = STRENGTH * 0.2  # reflectance per channel
    torch.testing.assert_close(found, scale**2 * variance.sum(dim=1), rtol=2e-2, atol=1e-9)


def test_a_model_without_variety_says_so():
    with pytest.raises(InputError, match=r"trained with variety, found one without\. Train it with --generator\."):
        RSSpade(*network("rs_spade", 0)).draw(scene(), samples=[0], names=["a", "b"], origins=[(0, 0)] * 2)
    net, _ = network("pix2pix", 0)
    with pytest.raises(ValueError, match="built without variety"):
        net({"s1": torch.zeros(1, 2, 64, 64)}, {"s1": torch.ones(1, dtype=torch.bool)}, None, Noise([], (64, 64)))


def test_what_was_saved_draws_the_same(model, tmp_path):
    model.save_pretrained(tmp_path / "generator")
    again = RSSpade.from_pretrained(tmp_path / "generator")
    assert again.has_variety
    assert torch.equal(draw(again)[1], draw(model)[1])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_parameter_gets_a_gradient_and_only_the_head_gets_that_of_the_draws(name):
    net, _ = network(name)
    given, present = {"s1": torch.randn(2, 2, 65, 70)}, {"s1": torch.ones(2, dtype=torch.bool)}
    draws = random_noise([(0, 0), (0, 1)], 2, (32, 40), 3, torch.device("cpu"))
    _, residuals, _ = net.train()(given, present, None, Noise(draws, (32, 40), (33, 7)))
    residuals.pow(2).sum().backward()
    touched = {n.partition(".")[0] for n, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"variety"}
    assert all(p.grad is not None and p.grad.any() for p in net.variety.parameters())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_window_of_the_noise_gives_that_window_of_the_residual(name):
    net, _ = network(name)
    given, present = {"s1": torch.randn(1, 2, 65, 70)}, {"s1": torch.ones(1, dtype=torch.bool)}
    noise = noise_of_field(NoiseField(0), (0, 0), (65, 70), 3)[None]
    _, whole, _ = net(given, present, None, Noise([noise], (65, 70)))
    _, part, _ = net(given, present, None, Noise([noise[..., 33:53, 7:37]], (20, 30), (33, 7)))
    torch.testing.assert_close(part, whole[..., 33:53, 7:37], atol=1e-6, rtol=0)


def test_overlapping_tiles_see_the_same_noise_whatever_their_origin():
    field = NoiseField(0, name="scene")
    one = noise_of_field(field, (0, 0), (96, 96), 5)
    two = noise_of_field(field, (13, 40), (64, 50), 5)
    torch.testing.assert_close(two, one[:, 13:77, 40:90], atol=1e-6, rtol=0)


def test_noise_has_deviation_1_at_every_pixel_and_the_grain_of_its_level():
    draws = torch.stack(random_noise([(n,) for n in range(300)], 2, (32, 32), 3, torch.device("cpu"))).flatten(0, 1)
    deviation = draws.std(dim=0)  # of 600 draws, for each channel and pixel
    assert (deviation - 1).abs().max() < 0.2
    alike = [(draws[:, 4 * n : 4 * n + 4, 0, 0] * draws[:, 4 * n : 4 * n + 4, 0, 4]).mean().item() for n in range(5)]
    assert abs(alike[0]) < 0.1
    assert alike[1] < 0.2 < alike[3] < alike[4] + 0.05
    assert torch.equal(draws[:, -4:, 0, 0], draws[:, -4:, 31, 31])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_variance_is_that_of_the_draws(name):
    net, _ = network(name)
    given, present = {"s1": torch.randn(1, 2, 64, 64)}, {"s1": torch.ones(1, dtype=torch.bool)}
    draws = [random_noise([(n,)], 1, (8, 8), 3, torch.device("cpu"))[0] for n in range(400)]
    with torch.no_grad():
        _, residuals, variance = net(given, present, None, Noise(draws, (8, 8), (20, 20)))
    found = (residuals**2).mean(dim=1)
    assert (found / variance).mean().item() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(found.flatten(), variance.flatten())[0, 1] > 0.5
