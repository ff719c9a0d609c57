"""Long work tells how far it is, where nobody looks on too."""

import pytest

from rsspade import progress
from rsspade.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute_with_the_time_left(clock, capsys):
    with progress_bar(total=100, title="generate", unit="image") as bar:
        bar.update(40)  # there already, from an interrupted job
        for _ in range(60):
            clock[0] += 10
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9  # the end needs none
    assert lines[0] == "generate: 46 of 100 images (46%), about 9 min left"
    assert lines[-1] == "generate: 94 of 100 images (94%), about 1 min left"


def test_short_work_and_all_processes_but_the_first_are_silent(clock, capsys, monkeypatch):
    with progress_bar(total=3, title="check") as bar:
        for _ in range(3):
            clock[0] += 15
            bar.update()
    monkeypatch.setenv("RANK", "1")
    with progress_bar(total=3, title="check") as bar:
        clock[0] += 100
        bar.update()
    assert capsys.readouterr().err == ""


def test_who_looks_on_sees_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar(total=3, title="check") as bar:
        bar.update(3)
    assert "check:   0%" in capsys.readouterr().err
