"""`make demo` from end to end."""

import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.state import AcceleratorState

from experiments.demo import __main__ as demo
from rsspade.data.manifest import DatasetFolder

ROOT = Path(__file__).parents[2]


def run_here(command, *, check):
    """What the command would do in a process of its own, without starting Python anew; its world is made smaller."""
    assert (command[0], check) == (sys.executable, False)
    words = command[2:] if command[1] == "-m" else command[1:]
    smaller = ["--scene-size", "256"] if words[:2] == ["rsspade", "world"] else []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)  # by a test before this one
        patch.setattr(sys, "argv", [*words, *smaller])
        try:
            if command[1] == "-m":
                runpy.run_module(words[0], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        except SystemExit as end:
            return subprocess.CompletedProcess(command, end.code or 0)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
    raise AssertionError(f"{words[0]} ended without an exit code")


@pytest.mark.slow
def test_the_demo_runs_and_leaves_what_it_promises(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "subprocess", SimpleNamespace(run=run_here))
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path / "demo"), "--steps", "4"])
    demo.main()
    shown = capsys.readouterr().out
    assert "Nothing is wrong" in shown
    assert shown.count("took") == 11  # each stage, and all of it
    assert (tmp_path / "demo" / "tiles.png").stat().st_size > 100_000
    assert len(DatasetFolder.open(tmp_path / "demo" / "prepared").rows) == 1
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
