"""The experiment on scenes, end to end on the toy preset; and the memory of a process that a large one has started."""

import json
import sys

import numpy as np
import pytest

from experiments.cells.child import run_measured
from experiments.scene import __main__ as scene


def test_the_memory_of_a_process_is_its_own_and_not_that_of_who_started_it():
    held = np.ones(100_000_000)  # 800 MB
    _, peak = run_measured([sys.executable, "-S", "-c", "b'x' * 50_000_000"])
    assert 50 < peak < 200
    assert held.sum() == len(held)


def test_a_command_that_fails_ends_the_measurement():
    with pytest.raises(SystemExit, match="failed"):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
@pytest.mark.timeout(900)  # under a minute of arithmetic; longer on a machine with other things to do
@pytest.mark.filterwarnings("ignore::rsspade.errors.RSSpadeWarning")  # so small a world is unlike the next
def test_the_toy_preset_measures_seams_clouds_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scene", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    scene.main()
    found = json.loads((tmp_path / "toy" / "scene" / "results.json").read_text())
    assert {"date", "commit", "versions", "machine", "preset"} < found["seams"].keys()
    assert found["seams"]["default"]["passes"]
    assert found["fill"]["clear_pixels_changed"] == 0
    for row in found["fill"]["tiles"].values():
        assert 0.1 < row["gap"] < 0.9
        assert all(0.005 < row[name] < 0.3 for name in ("class_mean", "plain", "filled"))
    rows = [found["memory"]["full"], found["fill-memory"]["full"], found["small-memory"]["default 256"]]
    assert all(100 < row["peak_mb"] < 1500 for row in rows)
    more = found["small-memory"]["default 256"]["peak_mb"] - found["small-memory"]["tiny 256"]["peak_mb"]
    assert found["extrapolated_mb"] == {"256": found["memory"]["full"]["peak_mb"] + more}
