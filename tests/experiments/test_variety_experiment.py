"""The experiment about variety runs and writes what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.variety.seeds import CRITERIA, criteria_table

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_toy_preset_scores_every_arm_and_every_seed(tmp_path):
    command = [sys.executable, "-m", "experiments.variety", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads((tmp_path / "toy" / "variety" / "results.json").read_text())
    assert [row["arm"] for row in found["arms"]["rows"]] == ["noise input", "energy", "energy + likelihood"]
    assert all(row["pairwise_distance"] > 0 for row in found["arms"]["rows"])
    rows = found["seeds"]["rows"]
    assert [(row["split"], row["seed"]) for row in rows] == [("val", 0), ("val", 1), ("test", 0), ("test", 1)]
    assert len(found["cells"]) == 2
    assert criteria_table(rows) in done.stdout


def test_a_seed_keeps_a_criterion_only_if_it_does_on_both_splits():
    good = {"mean": 0.0, "one": -2.0, "spread_rmse_ratio": 0.9, "rank_correlation": 0.31}
    rows = [{"seed": seed, "split": split, **good} for seed in (0, 1) for split in ("val", "test")]
    rows[1]["spread_rmse_ratio"] = 1.3
    rows[3]["rank_correlation"] = None
    lines = criteria_table(rows).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == ["2 of 2", "2 of 2", "1 of 2", "1 of 2"]
    assert "0.310 ± 0.000" in lines[-1]
    assert len(lines) == len(CRITERIA)
