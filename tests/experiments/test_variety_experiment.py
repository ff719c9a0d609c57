"""The experiment about variety runs and writes what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_toy_preset_scores_every_arm(tmp_path):
    command = [sys.executable, "-m", "experiments.variety", "--preset", "toy", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [row["arm"] for row in found["rows"]] == ["noise input", "energy", "energy + likelihood"]
    assert all(row["pairwise_distance"] > 0 for row in found["rows"])
