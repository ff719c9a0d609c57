"""A small dataset, and a synthetic one made from its training tiles, that all segmentation tests share."""

import pytest
from synthetic_sets import write_synthetic


@pytest.fixture(scope="session")
def dataset(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("segmentation") / "data").path


@pytest.fixture(scope="session")
def synthetic(dataset, tmp_path_factory):
    return write_synthetic(dataset, tmp_path_factory.mktemp("synthetic") / "data", samples=3)
