"""What a run says of the code that made it."""

import json
import subprocess

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState

import rsspade
from rsspade import environment


@pytest.fixture
def accelerator():
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def git(folder, *words):
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_tells_its_commit_and_whether_the_code_was_changed(tmp_path):
    package = tmp_path / "project" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("a = 1\n")
    assert environment._commit(package) is None
    git(tmp_path / "project", "init", "--quiet")
    assert environment._commit(package) is None  # no commit yet
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", "commit", "--quiet", "--message", "first")
    head = git(tmp_path / "project", "rev-parse", "HEAD")
    assert environment._commit(package) == head
    (tmp_path / "project" / "notes.txt").write_text("not code")
    assert environment._commit(package) == head
    (package / "code.py").write_text("a = 2\n")
    assert environment._commit(package) == f"{head}+dirty"


def test_a_package_installed_into_another_project_does_not_tell_that_projects_commit(tmp_path):
    package = tmp_path / "project" / "site-packages" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("a = 1\n")
    git(tmp_path / "project", "init", "--quiet")
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", "commit", "--quiet", "--message", "first")
    assert environment._commit(package) is None


def test_each_session_adds_an_entry(tmp_path, accelerator):
    path = tmp_path / "environment.json"
    for step in (0, 7):
        environment.note_session(path, accelerator, step=step)
    entries = json.loads(path.read_text())
    assert [entry["step"] for entry in entries] == [0, 7]
    for entry in entries:
        assert entry["rsspade"] == rsspade.__version__
        assert entry["precision"] == "fp32"
        assert entry["device"].startswith("cpu")
        assert {"date", "commit", "torch", "python", "processes", "threads"} <= set(entry)


@pytest.mark.parametrize("content", ["", "[1, 2", '{"a": 1}'])
def test_a_damaged_file_does_not_stop_a_run(tmp_path, accelerator, content):
    path = tmp_path / "environment.json"
    path.write_text(content)
    environment.note_session(path, accelerator, step=3)
    assert [entry["step"] for entry in json.loads(path.read_text())] == [3]
