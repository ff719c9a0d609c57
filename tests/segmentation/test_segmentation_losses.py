"""Losses: hand-computed values, and pixels that must not reach them."""

import math

import numpy as np
import pytest
import torch

from segmentation.losses import IGNORED, class_weights, cross_entropy, dice, divide, focal

KINDS = {
    "cross_entropy": lambda x, y: cross_entropy(x, y, torch.tensor([1.0, 2.0, 3.0])),
    "focal": lambda x, y: focal(x, y, None, gamma=2.0),
    "dice": dice,
}


def value(part):
    return (part.total / part.divisor).item()


@pytest.fixture
def pair():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8))
    labels[:, :2] = IGNORED
    return torch.randn(2, 3, 8, 8), labels


@pytest.mark.parametrize("kind", KINDS)
def test_an_unlabelled_pixel_changes_neither_value_nor_gradient(pair, kind):
    logits, labels = pair
    found = []
    for filling in (0.0, 50.0):
        x = logits.clone()
        x[:, 1, :2] = filling
        x.requires_grad_()
        part = KINDS[kind](x, labels)
        part.total.backward()
        assert not x.grad[:, :, :2].any()
        found.append((value(part), x.grad[:, :, 2:]))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("kind", KINDS)
def test_better_beats_worse_and_nothing_labelled_costs_nothing(pair, kind):
    logits, labels = pair
    truth = torch.nn.functional.one_hot(torch.where(labels == IGNORED, 0, labels), 3).movedim(-1, 1).float()
    assert value(KINDS[kind](logits + 5 * truth, labels)) < value(KINDS[kind](logits, labels))
    empty = KINDS[kind](logits, torch.full_like(labels, IGNORED))
    assert (empty.total.item(), empty.divisor.item()) == (0, 0)


def test_values_by_hand():
    logits = torch.tensor([0.8, 0.2]).log().view(1, 2, 1, 1)
    right, wrong = torch.zeros(1, 1, 1, dtype=torch.long), torch.ones(1, 1, 1, dtype=torch.long)
    assert value(cross_entropy(logits, right, None)) == pytest.approx(-math.log(0.8))
    assert value(focal(logits, wrong, None, gamma=2.0)) == pytest.approx(0.8**2 * -math.log(0.2))
    assert value(dice(logits, right)) == pytest.approx(1 - 2 * 0.8 / 1.8)


def test_the_parts_of_a_batch_give_the_gradient_of_the_whole(pair):
    # One half nearly unlabelled: the mean of both halves' means would be another number.
    logits, labels = pair
    labels[1, :, 1:] = IGNORED
    for loss in KINDS.values():
        whole = loss(logits, labels)
        halves = [loss(logits[n : n + 1], labels[n : n + 1]) for n in (0, 1)]
        counts = torch.stack([whole.divisor])
        dealt = sum(divide({"x": half}, counts, 2)["x"] for half in halves) / 2
        assert dealt.item() == pytest.approx(value(whole), rel=1e-5)


def test_weighted_cross_entropy_is_least_where_probabilities_are_shares_times_weights():
    labels = torch.tensor([0] * 12 + [1] * 3 + [2]).reshape(1, 4, 4)
    shares, weights = torch.tensor([12, 3, 1]) / 16, torch.tensor([1.0, 2.0, 5.0])
    logits = (shares * weights).log()[None, :, None, None].requires_grad_()
    cross_entropy(logits.expand(1, 3, 4, 4), labels, weights).total.backward()
    assert logits.grad.flatten() == pytest.approx(torch.zeros(3), abs=1e-5)


def test_class_weights_are_one_on_average_and_favour_the_rare():
    pixels = np.array([900, 90, 10, 0])
    weights = class_weights(pixels, 0.5)
    assert weights[0] < weights[1] < weights[2]
    assert (weights * pixels).sum() / pixels.sum() == pytest.approx(1)
    assert weights[3] == 1
    assert class_weights(pixels, 0.0) == pytest.approx(np.ones(4))
    balanced = class_weights(pixels, 1.0)[:3] * pixels[:3]
    assert balanced == pytest.approx(balanced.mean())
