"""A healthy dataset, made once and copied for each test that spoils it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rsspade.data.manifest import DatasetFolder


@pytest.fixture(scope="session")
def healthy_original(make_dataset: Callable[..., DatasetFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of two tiles; clouds beside it. Not to be changed."""
    folder = tmp_path_factory.mktemp("healthy") / "dataset"
    make_dataset(folder, clouds=True)
    return folder


@pytest.fixture
def healthy(healthy_original: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    folder = tmp_path / "dataset"
    shutil.copytree(healthy_original, folder)
    return folder
