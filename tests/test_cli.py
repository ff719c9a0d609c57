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
    assert "usage" in capsys.readouterr().out


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
    assert "Traceback" not in capsys.readouterr().err


def test_the_module_runs_as_the_script_does():
    done = subprocess.run([sys.executable, "-m", "rsspade", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"rsspade {__version__}"
