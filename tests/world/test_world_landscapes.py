"""Each landscape holds what belongs there."""

import pytest

from rsspade.world.scene import SceneSpec, make_scene

SNOW = 8


@pytest.mark.parametrize("index", range(6))
def test_snow_lies_in_every_mountain_scene_and_nowhere_else(index):
    scene = make_scene(SceneSpec(seed=0, variant="a", index=index, size=256))
    share = (scene.images["lulc"] == SNOW).mean()
    if scene.conditions.landscape == "mountains":
        assert 0.02 < share < 0.25
    else:
        assert share == 0
