"""Long work: locked, continued, refused, and whole at the end or not there at all."""

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from rsspade.errors import OutputError
from rsspade.jobs import open_job, run_units

ARGUMENTS = {"command": "test", "seed": 1}


def square(partial, number):
    (partial / f"{number}.txt").write_text(str(number**2))
    return {"square": number**2}


def units(count):
    return [(f"u{n}", (n,)) for n in range(count)]


def test_a_finished_job_holds_its_files_and_none_of_ours(tmp_path):
    with open_job(tmp_path / "out", ARGUMENTS) as partial:
        done = run_units(partial, units(3), square)
    assert done == {f"u{n}": {"square": n**2} for n in range(3)}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["0.txt", "1.txt", "2.txt", "out"]


def test_a_job_that_fails_at_once_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="bad"), open_job(tmp_path / "out", ARGUMENTS):
        raise RuntimeError("bad")
    assert list(tmp_path.iterdir()) == []


def test_finished_units_are_kept_and_not_repeated(tmp_path, capsys):
    calls = []

    def fail_at_two(partial, number):
        calls.append(number)
        if number == 2 and len(calls) == 3:
            raise RuntimeError("bad")
        return square(partial, number)

    with pytest.raises(RuntimeError, match="bad"), open_job(tmp_path / "out", ARGUMENTS) as partial:
        run_units(partial, units(4), fail_at_two)
    assert "the same command continues" in capsys.readouterr().err
    with open_job(tmp_path / "out", ARGUMENTS) as partial:
        run_units(partial, units(4), fail_at_two)
    assert calls == [0, 1, 2, 2, 3]
    assert len(list((tmp_path / "out").glob("*.txt"))) == 4


def test_other_arguments_do_not_continue(tmp_path):
    def stop(partial, number):
        if number:
            raise RuntimeError("bad")
        return 0

    with pytest.raises(RuntimeError, match="bad"), open_job(tmp_path / "out", ARGUMENTS) as partial:
        run_units(partial, units(2), stop)
    others = {"found seed 1 there, 2 now": {"seed": 2}, "found tint nothing there, None now": {"tint": None}}
    for told, other in others.items():
        with pytest.raises(OutputError, match=told), open_job(tmp_path / "out", {**ARGUMENTS, **other}):
            pass
    assert json.loads((tmp_path / "out.partial" / "job.json").read_text())["seed"] == 1


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match="found other files"), open_job(tmp_path / "out", ARGUMENTS):
        pass
    assert (tmp_path / "out.partial" / "mine.txt").read_text() == "precious"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="found a file"), open_job(tmp_path / "out", ARGUMENTS):
        pass
    with pytest.raises(OutputError, match="found a file in its place"), open_job(tmp_path / "out" / "in", ARGUMENTS):
        pass


def test_an_empty_folder_may_become_the_output(tmp_path):
    (tmp_path / "out").mkdir()
    with open_job(tmp_path / "out", ARGUMENTS) as partial:
        run_units(partial, units(1), square)
    assert (tmp_path / "out" / "0.txt").is_file()


def test_an_error_in_a_worker_process_arrives_as_itself(tmp_path):
    with pytest.raises(OutputError, match="told by a worker"), open_job(tmp_path / "out", ARGUMENTS) as partial:
        run_units(partial, units(2), tell, workers=2)


def tell(partial, number):
    raise OutputError("told by a worker")


def test_whoever_is_stopped_while_the_result_gets_its_name_loses_nothing(tmp_path, monkeypatch):
    """The whole work is done by then: it must stay, as a job to continue or as the result."""

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    for name in ("rmtree", "rename"):
        out = tmp_path / name
        with monkeypatch.context() as patched:
            patched.setattr(*((shutil, "rmtree", stop) if name == "rmtree" else (Path, "rename", stop)))
            with pytest.raises(KeyboardInterrupt), open_job(out, ARGUMENTS) as partial:
                run_units(partial, units(3), square)
        if not out.is_dir():
            with open_job(out, ARGUMENTS) as partial:
                run_units(partial, units(3), lambda *_: pytest.fail("done before"))
        assert len(list(out.glob("[0-9].txt"))) == 3


def test_a_full_disk_at_the_very_start_is_said_plainly_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("rsspade.jobs.write_bytes_atomically", full)
    with pytest.raises(OutputError, match="expected free space on the disk"), open_job(tmp_path / "out", ARGUMENTS):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_message_names_the_innermost_difference_and_stays_short(tmp_path):
    many = {"inputs": {f"scene{n}": {"s2": {f"/data/{n}.tif": [n, n]}} for n in range(5000)}}

    def stop(partial, number):
        if number:
            raise RuntimeError("bad")
        return 0

    with pytest.raises(RuntimeError, match="bad"), open_job(tmp_path / "out", many) as partial:
        run_units(partial, units(2), stop)
    changed = json.loads(json.dumps(many))
    changed["inputs"]["scene7"]["s2"]["/data/7.tif"] = [7, 8]
    expected = r"scene7 s2 /data/7\.tif \[7, 7\] there, \[7, 8\] now"
    with pytest.raises(OutputError, match=expected) as caught, open_job(tmp_path / "out", changed):
        pass
    assert len(str(caught.value)) < 500


def test_units_reach_a_cluster_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("rsspade.jobs._AT_ONCE", 3)
    with open_job(tmp_path / "out", ARGUMENTS) as partial:
        done = run_units(partial, units(20), square, workers=2)
    assert done == {f"u{n}": {"square": n**2} for n in range(20)}


def interrupt_the_worker(partial, number):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    return number


def test_an_interrupt_that_a_terminal_sends_to_all_is_left_to_the_first_process(tmp_path):
    with open_job(tmp_path / "out", ARGUMENTS) as partial:
        done = run_units(partial, units(4), interrupt_the_worker, workers=2)
    assert done == {f"u{n}": n for n in range(4)}
