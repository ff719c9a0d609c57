"""The command line as a user meets it first."""

import subprocess
import sys

import pytest

from rsspade import __version__
from rsspade.cli import COMMANDS, main


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_no_command_is_a_mistake(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert "usage" in shown.out
    assert shown.err == "rsspade: expected a command, found none. See `rsspade --help`.\n"


def test_an_unknown_command_lists_the_known_ones(capsys):
    assert main(["word"]) == 2
    assert "expected a command out of world, prepare" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"rsspade {__version__}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"example:\n  rsspade {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_refused(name, capsys):
    assert main([name, "--no-such-option"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"rsspade {name}: ")
    assert f"`rsspade {name} --help`" in lines[0]


def test_the_module_runs_as_the_script_does():
    done = subprocess.run([sys.executable, "-m", "rsspade", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"rsspade {__version__}"


def test_a_reader_that_has_seen_enough_is_no_traceback_and_no_success():
    program = """
import sys
from rsspade.cli import Command, run_command

def run(options):
    print("line\\n" * 100_000)
    return 0

sys.exit(run_command("rsspade long", Command("Talk.", "rsspade long", lambda parser: None, run), []))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize("program", ["rsspade", "rsspade.training", "segmentation.train"])
def test_help_that_nobody_reads_to_its_end_is_no_traceback(program):
    words = [sys.executable, "-m", program, "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_a_broken_pipe_that_is_not_our_output_is_told():
    program = """
import sys
from rsspade.cli import Command, run_command

def run(options):
    raise BrokenPipeError(32, "the pipe of a worker")

sys.exit(run_command("rsspade long", Command("Talk.", "rsspade long", lambda parser: None, run), []))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the pipe of a worker" in done.stderr


def test_a_termination_unwinds_like_an_interrupt_and_says_what_is_kept(tmp_path):
    """A queue whose time is up sends SIGTERM; what is finished stays and the lock goes."""
    program = """
import os, signal, sys
from pathlib import Path
from rsspade import cli
from rsspade.jobs import open_job, run_units

def work(partial, number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return number

def run(options):
    with open_job(Path(options.out), {}) as partial:
        run_units(partial, [(f"u{n}", (n,)) for n in range(4)], work)
    return 0

command = cli.Command(summary="", example="", configure=lambda p: p.add_argument("out"), run=run)
cli.COMMANDS["test"] = ("", lambda: command)
sys.exit(cli.main(["test", sys.argv[1]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 143
    assert done.stderr.splitlines() == [
        f"Kept what is finished in {tmp_path / 'out.partial'}; the same command continues there.",
        "rsspade test: terminated.",
    ]
    assert len(list((tmp_path / "out.partial" / ".units").glob("*.json"))) == 2
