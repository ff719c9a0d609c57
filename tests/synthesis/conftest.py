"""The land and the run of the tests of `scene`."""

import pytest
from generate_runs import save_run


@pytest.fixture(scope="session")
def scene_land(tmp_path_factory, make_dataset):
    """Scenes of 320 × 320 px in tiles of 64 px (of a single one, tiles between the splits would be left out)."""
    folder = tmp_path_factory.mktemp("scene") / "land"
    make_dataset(folder, scenes=3, grid=(5, 5))
    return folder


@pytest.fixture(scope="session")
def scene_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, variety=4, pixel_size_m=10.0)
    return folder
