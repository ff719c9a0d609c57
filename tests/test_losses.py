import math

import pytest
import torch

from rsspade import losses
from rsspade.metrics import spectral_angle, ssim

PIXELWISE = {
    "l1": losses.l1_loss,
    "ssim": losses.ssim_loss,
    "spectral angle": losses.spectral_angle_loss,
}


def images(batch=2, bands=4, size=24, *, seed=0):
    torch.manual_seed(seed)
    truth = torch.rand(batch, bands, size, size) * 0.4 + 0.05
    return truth + torch.randn_like(truth) * 0.02, truth, torch.ones(batch, size, size, dtype=torch.bool)


def maps(*logits, feature=0.0):
    """What a discriminator says, one scale per value."""
    return [[torch.full((2, 3, 4, 4), feature), torch.full((2, 1, 2, 2), float(value))] for value in logits]


def test_l1_by_hand():
    truth = torch.zeros(1, 2, 1, 2)
    made = torch.tensor([[[[1.0, 5.0]], [[-3.0, 5.0]]]])
    assert losses.l1_loss(made, truth, torch.tensor([[[True, False]]])).item() == 2.0
    assert losses.l1_loss(made, truth, torch.tensor([[[True, True]]])).item() == 3.5


def test_means_are_over_pixels_not_over_tiles():
    made, truth = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    made[1] = 5.0
    valid = torch.zeros(2, 2, 2, dtype=torch.bool)
    valid[0] = True
    valid[1, 0, 0] = True
    assert losses.l1_loss(made, truth, valid).item() == pytest.approx((4 * 1 + 5) / 5)


@pytest.mark.parametrize("name", PIXELWISE)
def test_equal_images_cost_nothing_and_pull_nowhere(name):
    _, truth, valid = images()
    made = truth.clone().requires_grad_()
    loss = PIXELWISE[name](made, truth, valid)
    loss.backward()
    assert abs(loss.item()) < 1e-5
    assert made.grad.abs().max() < 1e-4


@pytest.mark.parametrize("name", PIXELWISE)
def test_better_beats_worse(name):
    made, truth, valid = images()
    costs = [PIXELWISE[name](truth + share * (made - truth), truth, valid).item() for share in (0.0, 0.5, 1.0, 2.0)]
    assert costs == sorted(costs)
    assert costs[0] < costs[1] - 1e-4


@pytest.mark.parametrize("name", PIXELWISE)
@pytest.mark.parametrize("filling", [float("nan"), float("inf"), -1e30])
def test_a_masked_pixel_can_be_anything(name, filling):
    made, truth, valid = images()
    valid[:, :9] = False
    valid[1, 20, 3] = False
    spoilt = torch.where(valid[:, None], truth, filling)
    also = torch.where(valid[:, None], made, filling).requires_grad_()
    made.requires_grad_()
    first = PIXELWISE[name](made, truth, valid)
    second = PIXELWISE[name](also, spoilt, valid)
    first.backward()
    second.backward()
    assert first.item() == second.item() > 0
    assert torch.equal(made.grad, also.grad)
    assert torch.isfinite(also.grad).all()
    assert (also.grad[~valid[:, None].expand_as(also)] == 0).all()
    assert also.grad.abs().max() > 0


@pytest.mark.parametrize("name", PIXELWISE)
def test_a_batch_without_a_valid_pixel_costs_nothing(name):
    made, truth, valid = images()
    made.requires_grad_()
    loss = PIXELWISE[name](made, truth * float("nan"), torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0
    assert (made.grad == 0).all()


@pytest.mark.parametrize("name", PIXELWISE)
def test_the_gradient_is_that_of_the_loss(name):
    made, truth, valid = images(1, 3, 13)
    made = (truth + (made - truth).sign() * 0.05).requires_grad_()  # away from the kink of an absolute value
    PIXELWISE[name](made, truth, valid).backward()
    direction = made.grad / made.grad.abs().max()
    step = 5e-3
    with torch.no_grad():
        above, below = (PIXELWISE[name](made + s * direction, truth, valid) for s in (step, -step))
    slope = ((above - below) / (2 * step)).item()
    assert (made.grad * direction).sum().item() == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("name", PIXELWISE)
def test_bfloat16_predictions_are_compared_in_full_precision(name):
    made, truth, valid = images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = PIXELWISE[name](made.bfloat16(), truth, valid)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(PIXELWISE[name](made.bfloat16().float(), truth, valid).item(), rel=1e-5)


@pytest.mark.parametrize("name", PIXELWISE)
def test_wrong_shapes_are_refused(name):
    made, truth, valid = images()
    with pytest.raises(ValueError, match="expected two images"):
        PIXELWISE[name](made, truth[:, :1], valid)
    with pytest.raises(ValueError, match="and a bool mask"):
        PIXELWISE[name](made, truth, valid.float())


def test_ssim_is_the_one_that_scores():
    made, truth, valid = images(2, 4, 40)
    valid[:, 5:8, 30:] = False
    score = ssim(made.clamp(0, 1), truth, valid).mean()
    assert losses.ssim_loss(made.clamp(0, 1), truth, valid).item() == pytest.approx(1 - score.item(), abs=1e-5)


def test_ssim_knows_its_peak():
    made, truth, valid = images()
    assert losses.ssim_loss(made * 0.4, truth * 0.4, valid, peak=0.4).item() == pytest.approx(
        losses.ssim_loss(made, truth, valid).item(), rel=1e-4
    )


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 11 px"):
        losses.ssim_loss(*images(1, 1, 10))


def test_spectral_angle_by_hand():
    truth = torch.tensor([1.0, 0.0])[None, :, None, None]
    near = {math.pi: 0.02}  # opposite spectra do not occur; the additional band turns them a little
    for spectrum, angle in (
        ((0.0, 1.0), math.pi / 2),
        ((1.0, 1.0), math.pi / 4),
        ((3.0, 0.0), 0),
        ((-1.0, 0.0), math.pi),
    ):
        made = torch.tensor(spectrum)[None, :, None, None]
        assert losses.spectral_angle_loss(made, truth, torch.ones(1, 1, 1, dtype=torch.bool)).item() == pytest.approx(
            angle, abs=near.get(angle, 3e-3)
        )


def test_spectral_angle_is_the_one_that_scores_but_for_its_rounding():
    made, truth, valid = images(2, 4, 40)
    score = spectral_angle(made, truth).mean().item()
    assert losses.spectral_angle_loss(made, truth, valid).item() == pytest.approx(score, abs=2e-3)


@pytest.mark.parametrize("made_value", [0.0, 1e-12, -1e-12, 1e-4])
@pytest.mark.parametrize("true_value", [0.0, 1e-12, 0.2])
def test_dark_and_equal_spectra_have_a_bounded_gradient(made_value, true_value):
    made = torch.full((1, 4, 2, 2), made_value, requires_grad=True)
    loss = losses.spectral_angle_loss(made, torch.full((1, 4, 2, 2), true_value), torch.ones(1, 2, 2, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(made.grad).all()
    assert made.grad.norm(dim=1).max() * 4 < 1 / 4e-3  # of one pixel in four: an angle over the least length


def test_adversarial_losses_by_hand():
    def judge(kind, real, fake, which=losses.adversarial_discriminator_loss):
        return which(maps(*real), maps(*fake), kind=kind).item()

    assert judge("hinge", [0.5], [-2.0]) == pytest.approx(0.5 + 0)
    assert judge("hinge", [-1.0], [0.25]) == pytest.approx(2 + 1.25)
    assert judge("hinge", [0.5, 3.0], [-2.0, -0.5]) == pytest.approx((0.5 + 0.5) / 2)
    assert judge("lsgan", [0.0], [0.5]) == pytest.approx((1 + 0.25) / 2)
    assert losses.adversarial_generator_loss(maps(0.5, -2.5), kind="hinge").item() == pytest.approx(1.0)
    assert losses.adversarial_generator_loss(maps(0.0, 3.0), kind="lsgan").item() == pytest.approx((0.5 + 2) / 2)


@pytest.mark.parametrize("kind", losses.ADVERSARIAL)
def test_a_sharper_judge_and_a_better_forger_pay_less(kind):
    good = losses.adversarial_discriminator_loss(maps(0.8), maps(0.1), kind=kind)
    bad = losses.adversarial_discriminator_loss(maps(0.1), maps(0.8), kind=kind)
    assert good < bad
    assert losses.adversarial_generator_loss(maps(0.8), kind=kind) < losses.adversarial_generator_loss(
        maps(0.1), kind=kind
    )


def test_an_unknown_adversarial_loss_is_refused():
    with pytest.raises(ValueError, match="out of hinge, lsgan, found 'wgan'"):
        losses.adversarial_generator_loss(maps(0.0), kind="wgan")
    with pytest.raises(ValueError, match="out of hinge, lsgan, found 'wgan'"):
        losses.adversarial_discriminator_loss(maps(0.0), maps(0.0), kind="wgan")


def test_patches_without_a_valid_pixel_do_not_count():
    real, fake = maps(0.0), maps(0.0, feature=1.0)
    for judged in (real, fake):
        judged[0][-1][..., 1] = 100.0  # the right half
    fake[0][0][..., 2:] = 50.0
    valid = torch.ones(2, 16, 16, dtype=torch.bool)
    valid[..., 8:] = False
    assert losses.adversarial_discriminator_loss(real, fake, valid=valid).item() == pytest.approx(2.0)
    assert losses.adversarial_generator_loss(fake, valid=valid).item() == pytest.approx(0.0)
    assert losses.feature_matching_loss(real, fake, valid=valid).item() == pytest.approx(1.0)


def test_feature_matching_by_hand():
    assert losses.feature_matching_loss(maps(9, 9, feature=1.0), maps(-9, 9, feature=3.5)).item() == pytest.approx(2.5)
    real, fake = maps(0, feature=1.0), maps(0, feature=2.0)
    real[0][0].requires_grad_()
    fake[0][0].requires_grad_()
    losses.feature_matching_loss(real, fake).backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


@pytest.mark.parametrize("size", [4, 8])
def test_r1_by_hand_at_any_size(size):
    """A judge whose every logit is 3 times its own pixel: the slope per pixel is 3, squared 9."""
    image = torch.randn(2, 1, size, size, requires_grad=True)
    assert losses.r1_penalty([[3 * image]], image).item() == pytest.approx(9.0, rel=1e-5)


def test_r1_makes_a_judge_flatter():
    torch.manual_seed(0)
    judge = torch.nn.Conv2d(2, 1, 3)
    image = torch.randn(2, 2, 8, 8, requires_grad=True)
    optimizer = torch.optim.SGD(judge.parameters(), lr=1e-2)
    penalties = []
    for _ in range(5):
        optimizer.zero_grad()
        penalty = losses.r1_penalty([[judge(image)]], image)
        penalty.backward()
        optimizer.step()
        penalties.append(penalty.item())
    assert penalties == sorted(penalties, reverse=True)
    assert penalties[-1] < 0.9 * penalties[0]
