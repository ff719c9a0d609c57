"""`make demo` from end to end."""

import subprocess
import sys
from pathlib import Path

import pytest

from rsspade.data.manifest import DatasetFolder

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_runs_and_leaves_what_it_promises(tmp_path):
    command = [sys.executable, "-m", "experiments.demo", "--out", str(tmp_path / "demo"), "--steps", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Nothing is wrong" in done.stdout
    assert done.stdout.count("took") == 11  # each stage, and all of it
    assert (tmp_path / "demo" / "tiles.png").stat().st_size > 100_000
    assert len(DatasetFolder.open(tmp_path / "demo" / "prepared").rows) == 4
    assert all(row.synthetic for row in DatasetFolder.open(tmp_path / "demo" / "synthetic").rows)
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "demo" / "scene.tif").stat().st_size > 100_000
    assert (tmp_path / "demo" / "maps" / "metrics.jsonl").is_file()


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    command = [sys.executable, "-m", "experiments.demo", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "expected a folder of an earlier demo" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "precious"
