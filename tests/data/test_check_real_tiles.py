"""The real tiles through `prepare` and `check`, as they are and with the radar shifted."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from damage import failures, findings
from rasterio.transform import Affine

from rsspade.cli import main
from rsspade.data.check_report import Level

TILES = ("282D_485L_3_3", "433D_629L_3_1", "637U_59R_1_3")
SHIFTED = "433D_629L_3_1"


@pytest.fixture
def terramesh():
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        pytest.skip("RSSPADE_REAL_DATA does not name the folder with the real tiles")
    return Path(root) / "terramesh"


def prepare(terramesh, out, tile, *, s1=None, tile_size=224):
    arguments = ["prepare", "--out", str(out), "--tile-size", str(tile_size), "--landcover-scheme", "terramesh"]
    for flag, folder in (("--s2", "S2L2A"), ("--s1", "S1RTC"), ("--lulc", "LULC"), ("--dem", "DEM")):
        path = s1 if s1 is not None and flag == "--s1" else terramesh / folder / f"{tile}.tif"
        arguments += [flag, str(path)]
    assert main([*arguments, "--landcover-to", "dynamic_world"]) == 0
    return out


@pytest.mark.filterwarnings("ignore::rsspade.errors.RSSpadeWarning")  # one tile makes no three splits
@pytest.mark.parametrize("tile", TILES)
def test_real_tile_as_it_is_does_not_fail(terramesh, tmp_path, tile):
    assert failures(prepare(terramesh, tmp_path / "d", tile)) == {}


@pytest.mark.filterwarnings("ignore::rsspade.errors.RSSpadeWarning")
@pytest.mark.parametrize("tile_size", [224, 112, 64])
@pytest.mark.parametrize(("down", "right"), [(5, 0), (-5, 0), (0, 5), (0, -5)])
def test_radar_shifted_by_5_px_fails(terramesh, tmp_path, down, right, tile_size):
    """The tile's own radar lies 1.6 px off; the shift comes on top of that."""
    own = _estimate(prepare(terramesh, tmp_path / "own", SHIFTED, tile_size=tile_size))
    s1 = tmp_path / "s1.tif"
    with rasterio.open(terramesh / "S1RTC" / f"{SHIFTED}.tif") as tile:
        values, profile, names = tile.read(), tile.profile, tile.descriptions
    if tile_size == 224:  # the whole tile stays valid only where the pixels move and the grid stays
        values = np.roll(values, (down, right), axis=(1, 2))
    else:
        profile["transform"] *= Affine.translation(right, down)
    with rasterio.open(s1, "w", **profile) as tile:
        tile.write(values)
        tile.descriptions = names
    folder = prepare(terramesh, tmp_path / "d", SHIFTED, s1=s1, tile_size=tile_size)
    finding = failures(folder)["alignment.shift"]
    moved = np.array([finding.numbers["down_px"], finding.numbers["right_px"]]) - own
    assert moved == pytest.approx([-down, -right], abs=0.5)


def _estimate(folder):
    (numbers,) = findings(folder, Level.OK)["alignment"].numbers.values()
    return np.array([numbers["down_px"], numbers["right_px"]])
