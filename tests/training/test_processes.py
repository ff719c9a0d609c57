"""Runs as a user starts them: killed, stopped, misspelt, on two processes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.state import AcceleratorState
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from safetensors.torch import load_file
from tiny_runs import PLAIN, ROOT, arguments, environment, lines, same_state, start

from rsspade.models import RSSpade
from rsspade.training.__main__ import main
from rsspade.training.state import find_checkpoints


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_here(data, out, **options):
    """A run to its end in this process: what others are held against needs no Python of its own."""
    assert main(arguments(data, out, **options)) == 0
    AcceleratorState._reset_state(reset_partial_state=True)


def finish(process, code=0):
    """Wait for the end; returns standard output."""
    out, err = process.communicate(timeout=250)
    assert process.returncode == code, err
    return out


def wait_for_step(run, step, process):
    while process.poll() is None and not any(line["step"] >= step for line in lines_whole(run)):
        time.sleep(0.01)


def lines_whole(run):
    try:
        return lines(run)
    except json.JSONDecodeError:  # just being written
        return []


@pytest.mark.slow
def test_a_run_killed_at_random_steps_ends_like_an_unbroken_one(dataset, tmp_path, capsys):
    options = {"steps": 16, "save_every": 3, "eval_every": 5}
    run_here(dataset, tmp_path / "whole", **options)
    rng = random.Random(7)
    for step in sorted(rng.sample(range(4, 15), 2)):
        process = start(dataset, tmp_path / "broken", resume="true", **options)
        wait_for_step(tmp_path / "broken", step, process)
        process.send_signal(signal.SIGKILL)
        finish(process, -signal.SIGKILL)
    run_here(dataset, tmp_path / "broken", resume="true", **options)
    assert "going on after step" in capsys.readouterr().out
    assert same_state(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_run_that_goes_on(dataset, tmp_path, number, code):
    process = start(dataset, tmp_path / "run", steps=100000)
    wait_for_step(tmp_path / "run", 2, process)
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (code, "")
    assert "the same command with --resume goes on" in out
    (checkpoint,) = find_checkpoints(tmp_path / "run" / "checkpoints")
    assert json.loads((checkpoint / "state.json").read_text())["step"] == lines(tmp_path / "run")[-1]["step"]


def launch(command):
    """On two processes, by the command of the README."""
    flags = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    starter = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", *flags]
    done = subprocess.run([*starter, *command], env=environment(), capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, PLAIN | {"optimizer__name": "sgd", "lr": 0.01}], ids=["rs_spade adam", "pix2pix sgd"]
)
def test_two_processes_give_what_one_gives(make_dataset, tmp_path, options):
    # Five training tiles to a step of four, three to validate on: all ends unevenly, and nothing may wait for ever.
    dataset = make_dataset(tmp_path / "data", scenes=10, grid=(1, 1))
    assert [len(dataset.in_split(split)) for split in ("train", "val")] == [5, 3]
    options = {"steps": 10, "batch_size": 4, "eval_every": 10, "loader__crop_size": 64, **options}
    run_here(dataset.path, tmp_path / "1", **options)
    launch([str(ROOT / "train_gan.py"), *arguments(dataset.path, tmp_path / "2", **options)])
    for processes in (1, 2):
        state = find_checkpoints(tmp_path / str(processes) / "checkpoints")[0] / "state.json"
        assert json.loads(state.read_text())["processes"] == processes
    one, two = (lines(tmp_path / str(n)) for n in (1, 2))
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for mine, theirs in zip(one, two, strict=True):
        for kind in ("loss", "val"):
            for name, value in mine.get(kind, {}).items():
                assert theirs[kind][name] == pytest.approx(value, abs=1e-4, rel=1e-4), (mine["step"], name)
    given = {"s1": torch.randn(2, 2, 64, 80) * 3 - 12, "dem": torch.rand(2, 4, 64, 80) * 40}
    first, second = (RSSpade.from_pretrained(tmp_path / n / "generator_last")(given) for n in "12")
    assert (first - second).abs().max() < 1e-4
    if "optimizer__name" in options:
        for part in ("generator", "discriminator"):
            first, second = (
                load_file(find_checkpoints(tmp_path / n / "checkpoints")[0] / f"{part}.safetensors") for n in "12"
            )
            assert max(float((first[k].float() - second[k].float()).abs().max()) for k in first) < 1e-4


@pytest.mark.skipif(torch.accelerator.device_count() > 1, reason="accelerate starts two processes on two GPUs")
def test_who_asked_for_two_processes_without_a_gpu_is_told_how_to_get_them(dataset, tmp_path, capsys, monkeypatch):
    asked = ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launched, *_ = _validate_launch_command(launch_command_parser().parse_args([*asked, "train_gan.py"]))
    assert not launched.multi_gpu  # which is what would start two
    _, variables = prepare_simple_launcher_cmd_env(launched)
    for name in variables.keys() - os.environ.keys():
        monkeypatch.setenv(name, variables[name])
    run_here(dataset, tmp_path / "run", steps=1)
    assert "Say: accelerate launch --multi_gpu --num_processes N" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_run_learns_the_same(dataset, tmp_path):
    run_here(dataset, tmp_path / "plain", steps=3)
    finish(start(dataset, tmp_path / "compiled", steps=3, compile="true"))
    plain, compiled = (lines(tmp_path / name) for name in ("plain", "compiled"))
    for mine, theirs in zip(plain, compiled, strict=True):
        for name, value in mine.get("loss", {}).items():
            assert theirs["loss"][name] == pytest.approx(value, rel=1e-3, abs=1e-4)
    kept = load_file(tmp_path / "compiled" / "generator" / "model.safetensors")
    assert kept.keys() == load_file(tmp_path / "plain" / "generator" / "model.safetensors").keys()
    assert all(torch.isfinite(v).all() for v in kept.values())
