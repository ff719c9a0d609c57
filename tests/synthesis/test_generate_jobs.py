"""`rsspade generate` as a job: killed and continued, on two processes, and what it refuses."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from generate_runs import generate, images, pixels, save_run

from rsspade.data.manifest import DatasetFolder
from rsspade.errors import RSSpadeWarning

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RSSPADE_CACHE": ""}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("generate") / "data", scenes=6).path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, variety=4)
    return folder


@pytest.fixture(scope="module")
def whole(run, data, tmp_path_factory):
    """What an unbroken call in one process makes: two samples of six tiles, in batches of four."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert generate(run, data, folder, "--samples", 2, "--batch-size", 4) == 0
    return folder


def same_files(one, other):
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


# Dies, as if the machine had failed, while it writes the third image of its second batch.
KILLED = """
import os, signal, sys
from rsspade.cli import main
from rsspade.synthesis import generate_tiles
write, count = generate_tiles.write_tile, 0

def die(*args, **kwargs):
    global count
    count += 1
    if count > 10:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*args, **kwargs)

generate_tiles.write_tile = die
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_job_goes_on_to_the_same_bytes(run, data, whole, tmp_path):
    words = ["generate", "--run", run, "--data", data, "--out", tmp_path / "out", "--samples", "2", "--batch-size", "4"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out").exists()
    units = sorted((tmp_path / "out.partial" / ".units").glob("*.json"))
    assert len(units) == 4
    units[0].unlink()  # as if it had died within the first batch
    before = {path.name: path.stat().st_mtime_ns for path in units[1:]}
    assert generate(run, data, tmp_path / "out", "--samples", 2, "--seed", 1) == 2  # another job
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out.partial" / ".units").glob("*.json")}
    assert kept == before
    assert generate(run, data, tmp_path / "out", "--samples", 2, "--batch-size", 4) == 0
    assert same_files(whole, tmp_path / "out")


@pytest.mark.slow
def test_two_processes_make_what_one_makes(run, data, whole, tmp_path):
    starter = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--main_process_port", "0", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "rsspade", "generate",
    ]  # fmt: skip
    words = ["--run", run, "--data", data, "--out", tmp_path / "out", "--samples", "2", "--batch-size", "4"]
    command = [*starter, *map(str, words)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"Wrote {tmp_path / 'out'}") == 1
    assert images(whole).keys() == images(tmp_path / "out").keys()
    for path in (whole / "S2").iterdir():
        assert np.abs(pixels(path) - pixels(tmp_path / "out" / "S2" / path.name)).max() <= 1.01e-4
    assert (whole / "tiles.csv").read_bytes() == (tmp_path / "out" / "tiles.csv").read_bytes()
    # What stops them all is told once.
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=250)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("rsspade generate:")]
    assert len(told) == 1
    assert "already holds a dataset" in told[0]


def refused(capsys, *call):
    """The one line of a call that is refused."""
    assert generate(*call) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("model", "words", "expected"),
    [
        ({"scheme": "worldcover"}, [], "expected land cover in the scheme worldcover, the model's, found dynamic_world"),
        ({"sources": ("s1",)}, ["--sources", "s1,dem"], "--sources: expected a subset of s1"),
        ({}, ["--sources", "s1,s3"], "--sources: expected a comma-separated subset of s1, lulc, dem"),
        ({}, ["--samples", "2"], "--samples: expected 1 with a model that was trained without variety, found 2"),
        ({}, ["--samples", "0"], "--samples: expected 1 to 999"),
        ({}, ["--batch-size", "0"], "--batch-size: expected at least 1"),
        ({}, ["--seed", "-1"], "--seed: expected a whole number from 0 on"),
        ({}, ["--split", "tests"], "--split: expected one of train, val, test, all"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused_in_one_line(data, tmp_path, capsys, model, words, expected):
    save_run(tmp_path / "run", **model)
    assert expected in refused(capsys, tmp_path / "run", data, tmp_path / "out", *words)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_place_without_a_name_is_refused(run, data, capsys):
    assert ".: expected a new folder, found no name for one" in refused(capsys, run, data, "")


def test_a_model_in_another_scheme_works_without_land_cover(data, tmp_path):
    save_run(tmp_path / "run", scheme="worldcover")
    assert generate(tmp_path / "run", data, tmp_path / "out", "--sources", "s1,dem") == 0


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("config.json", b"{}", "expected the description of a generator"),
        ("config.json", None, "expected a run folder with generator/ in it"),
        ("model.safetensors", b"no weights", "expected the weights of the network"),
        ("model.safetensors", None, "expected a file of a generator folder"),
    ],
)
def test_a_damaged_run_is_refused(data, tmp_path, capsys, name, content, expected):
    save_run(tmp_path / "run")
    damaged = tmp_path / "run" / "generator" / name
    damaged.write_bytes(content) if content is not None else damaged.unlink()
    assert expected in refused(capsys, tmp_path / "run", data, tmp_path / "out")


def test_a_diverged_run_is_refused_and_leaves_nothing(data, tmp_path, capsys):
    model = save_run(tmp_path / "run")
    for weights in model.parameters():
        torch.nn.init.constant_(weights, 1e30)  # numbers, but too large to calculate with
    model.save_pretrained(tmp_path / "run" / "generator")
    assert "expected a generator that makes numbers" in refused(capsys, tmp_path / "run", data, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_place_of_the_output_is_looked_at_first(run, data, whole, tmp_path, capsys):
    before = sorted(p.name for p in data.iterdir())
    assert "expected a new folder, found one that already holds a dataset" in refused(capsys, run, data, whole)
    assert "found the dataset itself" in refused(capsys, run, data, data)
    assert "found one within" in refused(capsys, run, data, data / "synthetic")
    (tmp_path / "file").write_text("")
    assert "expected a folder" in refused(capsys, run, data, tmp_path / "file" / "out")
    assert sorted(p.name for p in data.iterdir()) == before


def test_data_without_tiles_for_it_are_refused(run, make_dataset, tmp_path, capsys):
    with pytest.warns(RSSpadeWarning, match="stays empty"):
        place = make_dataset(tmp_path / "two", scenes=2, sources=("S2", "DEM")).path
    empty = ({"train", "val", "test"} - {row.split for row in DatasetFolder.open(place).rows}).pop()
    assert f"expected tiles in the split {empty}" in refused(capsys, run, place, tmp_path / "out", "--split", empty)
    save_run(tmp_path / "radar", sources=("s1",))
    assert "expected a dataset with one of s1" in refused(capsys, tmp_path / "radar", place, tmp_path / "out")
    assert "expected a dataset folder" in refused(capsys, run, tmp_path / "nowhere", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_a_full_disk_keeps_what_is_finished_under_no_final_name(run, data, tmp_path, capsys, monkeypatch):
    from rsspade.synthesis import generate_tiles

    write, count = generate_tiles.write_tile, 0

    def fill(*args, **kwargs):
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
        write(*args, **kwargs)

    monkeypatch.setattr(generate_tiles, "write_tile", fill)
    assert generate(run, data, tmp_path / "out", "--batch-size", "2") == 2
    lines = capsys.readouterr().err.splitlines()
    assert "expected free space on the disk, found none left" in lines[-1]
    assert lines[0].startswith("Kept what is finished")
    assert [p.name for p in tmp_path.iterdir()] == ["out.partial"]
    monkeypatch.undo()
    assert generate(run, data, tmp_path / "out", "--batch-size", "2") == 0
