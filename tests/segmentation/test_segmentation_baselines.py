"""The forest that a network must beat: it learns, from training pixels with labels alone, and repeatably."""

import numpy as np
import pytest
import torch

from rsspade.data.manifest import DatasetFolder
from segmentation.baselines import fit_forest
from segmentation.labels import open_tiles

FEW = {"pixels": 800, "trees": 8}


@pytest.fixture(scope="module")
def tiles(dataset):
    torch.set_num_threads(1)
    folder = DatasetFolder.open(dataset)
    return {split: open_tiles(folder, split, ("s2", "s1"), random_crops=False) for split in ("train", "test")}


def test_a_forest_beats_the_commonest_class_and_is_repeatable(tiles):
    found = fit_forest(tiles["train"], **FEW).score(tiles["test"])
    commonest = max(entry["pixels"] for entry in found["per_class"].values()) / found["pixels"]
    assert found["accuracy"] > commonest + 0.2
    assert fit_forest(tiles["train"], **FEW).score(tiles["test"]) == found


def test_a_forest_sees_the_sources_and_the_tiles_that_it_is_given(tiles):
    forest = fit_forest(tiles["train"], [1], sources=("s2", "s1"), **FEW)
    assert forest.forest.n_features_in_ == 6
    labels = tiles["train"][1].sources["lulc"].numpy()
    assert forest.predict(tiles["test"], 0).shape == labels.shape[1:]
    assert len(forest.forest.classes_) == len(np.unique(labels))
