"""Scores against scikit-learn's, on labels of every kind."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from segmentation.losses import IGNORED
from segmentation.metrics import confusion_matrix, scores

NAMES = ("water", "trees", "grass", "crops", "built")


def of(truth, prediction):
    matrix = confusion_matrix(torch.tensor(truth), torch.tensor(prediction), len(NAMES))
    return scores(matrix, NAMES)


@settings(max_examples=150)
@given(st.data())
def test_scores_are_those_of_scikit_learn(data):
    # Few classes in either list: classes that only one of them knows, or a single class, come up often.
    some = st.lists(st.integers(0, len(NAMES) - 1), min_size=1, max_size=3)
    true_classes, made_classes = data.draw(some), data.draw(some)
    size = data.draw(st.integers(1, 40))
    truth = data.draw(st.lists(st.sampled_from(true_classes), min_size=size, max_size=size))
    made = data.draw(st.lists(st.sampled_from(made_classes), min_size=size, max_size=size))
    there = sorted({*truth, *made})
    options = {"labels": there, "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is undefined, which we define
        kappa = reference.cohen_kappa_score(truth, made)
        expected = {
            "accuracy": reference.accuracy_score(truth, made),
            "miou": reference.jaccard_score(truth, made, average="macro", **options),
            "mpa": reference.recall_score(truth, made, average="macro", **options),
            "mf1": reference.f1_score(truth, made, average="macro", **options),
            "fwiou": reference.jaccard_score(truth, made, average="weighted", **options),
            "kappa": kappa if np.isfinite(kappa) else 0.0,
        }
        per_class = {
            "iou": reference.jaccard_score(truth, made, average=None, **options),
            "pa": reference.recall_score(truth, made, average=None, **options),
            "ua": reference.precision_score(truth, made, average=None, **options),
            "f1": reference.f1_score(truth, made, average=None, **options),
        }
    found = of(truth, made)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    for name, values in per_class.items():
        assert [found["per_class"][NAMES[n]][name] for n in there] == pytest.approx(values, abs=1e-6), name
    assert np.array_equal(found["confusion"], reference.confusion_matrix(truth, made, labels=range(len(NAMES))))


def test_unlabelled_pixels_change_nothing():
    truth, made = [0, 1, 1, 2], [0, 1, 2, 2]
    assert of([*truth, IGNORED, IGNORED], [*made, 0, 4]) == of(truth, made)


def test_classes_that_do_not_occur_have_no_score_and_stay_out_of_the_means():
    found = of([0, 0, 1], [0, 0, 1])
    assert found["miou"] == found["mpa"] == found["accuracy"] == 1.0
    assert found["per_class"]["grass"] == {"pixels": 0, "predicted": 0, "iou": None, "pa": None, "ua": None, "f1": None}


def test_a_class_that_is_only_predicted_counts_as_missed():
    assert of([0, 0], [0, 1])["miou"] == pytest.approx(0.25)


def test_nothing_labelled_has_no_score():
    found = of([IGNORED], [0])
    assert found["miou"] is None
    assert found["kappa"] is None
    assert found["pixels"] == 0


def test_kappa_of_a_single_class_is_zero():
    assert of([2, 2], [2, 2])["kappa"] == 0.0
