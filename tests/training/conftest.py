"""A small dataset that all training tests share."""

import pytest


@pytest.fixture(scope="session")
def dataset(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("training") / "data").path
