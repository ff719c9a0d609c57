"""Calibration: what a generator has wrong is taken back, what it has right is kept."""

import pytest
import torch

from rsspade.sources import UNLABELLED
from rsspade.synthesis.calibration import Calibration
from rsspade.synthesis.residuals import Residuals

SIDE = 64


def worlds(count, *, seed=0, errors=0.4):
    """Real images of two bands, and what a generator makes of them that knows half of it and errs on top; two classes."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, count, 2, SIDE, SIDE, generator=rng)
    classes = (torch.arange(SIDE) >= SIDE // 2).to(torch.uint8).expand(count, SIDE, SIDE).clone()
    mean = torch.tensor([[-2.0, -1.5], [-2.4, -1.0]])[classes.long()].movedim(-1, 1)
    known = mean + 0.3 * noise[0]
    return known + errors * noise[1], known + 0.2 * noise[2], classes


def learned(made, real, classes):
    calibration = Calibration()
    for one in zip(made, real, classes, strict=True):
        calibration.see(*one)
    return calibration


def covariance(images, classes, number):
    return torch.cov(images.movedim(1, 0)[:, classes == number])


def test_calibrated_images_with_residuals_laid_over_vary_as_real_ones_do():
    made, real, classes = worlds(24)
    calibration = learned(made, real, classes)
    expected = torch.stack([calibration(*one) for one in zip(made, classes, strict=True)])
    borrowed = (real - expected).roll(1, 0)
    for number in (0, 1):
        wanted = covariance(real, classes, number)
        torch.testing.assert_close(covariance(expected + borrowed, classes, number), wanted, atol=0.01, rtol=0)
        uncalibrated = covariance(made + (real - made).roll(1, 0), classes, number)
        assert uncalibrated.diagonal().min() > 2 * wanted.diagonal().max()


def test_what_is_expected_is_nearer_to_images_that_were_never_seen_than_what_was_made():
    calibration = learned(*worlds(24))
    made, real, classes = worlds(4, seed=1)
    expected = torch.stack([calibration(*one) for one in zip(made, classes, strict=True)])
    assert (expected - real).square().mean() < 0.6 * (made - real).square().mean()


def test_a_generator_that_is_right_is_left_alone():
    made, _, classes = worlds(4)
    calibration = learned(made, made, classes)
    torch.testing.assert_close(calibration(made[0], classes[0]), made[0], atol=1e-4, rtol=0)


def test_a_class_of_a_few_pixels_is_hardly_changed_but_for_its_mean():
    made, real, classes = worlds(1)
    few = torch.full_like(classes[0], UNLABELLED)
    few[:3, :3] = 0
    found = learned(made, real, few[None])(made[0], few)
    kept = found[:, :3, :3] - found[:, :3, :3].mean((1, 2), keepdim=True)
    given = made[0, :, :3, :3] - made[0, :, :3, :3].mean((1, 2), keepdim=True)
    torch.testing.assert_close(kept, given, atol=0.05, rtol=0)
    torch.testing.assert_close(found[:, few == 0].mean(1), real[0][:, few == 0].mean(1), atol=1e-4, rtol=0)


def test_pixels_without_a_class_or_of_one_never_seen_stay_as_they_were_made():
    made, real, classes = worlds(2)
    calibration = learned(made, real, torch.where(classes == 1, UNLABELLED, classes))
    found = calibration(made[0], torch.where(classes[0] == 1, 7, UNLABELLED).to(torch.uint8))
    assert torch.equal(found, made[0])


def test_nothing_is_made_of_values_far_from_all_that_were_seen():
    made, real, classes = worlds(4)
    calibration = learned(made, real, classes)
    dark = calibration(torch.full_like(made[0], -7.0), classes[0])
    assert dark.min() > real.min() - 1.0


def test_the_same_value_everywhere_is_no_error():
    flat = torch.full((1, 2, SIDE, SIDE), -2.0)
    classes = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    found = learned(flat, flat + 0.5, classes)(flat[0], classes[0])
    torch.testing.assert_close(found, flat[0] + 0.5)


@pytest.mark.parametrize("errors", [0.0, 0.4])
def test_laying_over_holds_the_calibrated_image_against_the_donors(errors):
    made, real, classes = worlds(12, errors=errors)
    calibration = learned(made, real, classes)
    values = torch.stack([r - calibration(m, c) for m, r, c in zip(made, real, classes, strict=True)])
    names = [f"t{n}" for n in range(len(made))]
    residuals = Residuals(values, classes, names, names, calibration)
    laid = torch.stack([
        residuals.lay_over(m.exp(), c, tile=name, scene=name, seed=0, sample=0).log()
        for m, c, name in zip(made, classes, names, strict=True)
    ])  # fmt: skip
    for number in (0, 1):
        torch.testing.assert_close(
            covariance(laid, classes, number), covariance(real, classes, number), atol=0.03, rtol=0
        )
