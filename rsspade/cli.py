"""The console script `rsspade`: finds the command, runs it, and turns a user's mistake into one line.

Each command lives beside the code it drives, as a `Command`; it is imported only when it is asked for, so
that `rsspade --help` answers at once.
"""

import argparse
import contextlib
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, TextIO

from rsspade import __version__
from rsspade.errors import RSSpadeError, RSSpadeWarning
from rsspade.pipes import while_somebody_reads

__all__ = ["Command", "main", "run_command"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        summary: One line for `rsspade --help`.
        example: A command line that works, shown under `--help`.
        configure: Adds the arguments.
        run: Does the work; returns the exit code.
    """

    summary: str
    example: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _world() -> Command:
    from rsspade.world.command import COMMAND

    return COMMAND


def _prepare() -> Command:
    from rsspade.geo.command import COMMAND

    return COMMAND


def _convert() -> Command:
    from rsspade.data.convert_command import COMMAND

    return COMMAND


def _check() -> Command:
    from rsspade.data.check_command import COMMAND

    return COMMAND


def _show() -> Command:
    from rsspade.report.show_command import COMMAND

    return COMMAND


def _evaluate() -> Command:
    from rsspade.evaluate_command import COMMAND

    return COMMAND


def _generate() -> Command:
    from rsspade.synthesis.generate_command import COMMAND

    return COMMAND


def _report() -> Command:
    from rsspade.report.report_command import COMMAND

    return COMMAND


def _scene() -> Command:
    from rsspade.synthesis.scene_command import COMMAND

    return COMMAND


COMMANDS: dict[str, tuple[str, Callable[[], Command]]] = {
    "world": ("make a dataset from the built-in world", _world),
    "prepare": ("make a dataset from GeoTIFF scenes", _prepare),
    "convert": ("make a dataset from a public one as it was downloaded", _convert),
    "check": ("look at a dataset as a sceptic", _check),
    "show": ("draw tiles as a picture", _show),
    "evaluate": ("score a trained generator against the truth", _evaluate),
    "report": ("make a page of runs: scores, pictures, curves", _report),
    "generate": ("make an augmented dataset with a trained generator", _generate),
    "scene": ("paint a whole scene, or fill the clouds of a real one", _scene),
}


class _OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong, as every other mistake is told, instead of repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (summary, _) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: rsspade COMMAND [OPTIONS]", "",
            "Cloud-free optical images from radar, land cover and elevation.", "",
            "commands:", *lines, "",
            "`rsspade COMMAND --help` explains each. Start with: rsspade world demo-data --scenes 6",
        ]
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    return while_somebody_reads(lambda: _main(list(sys.argv[1:] if argv is None else argv)))


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        if not arguments:
            print("rsspade: expected a command, found none. See `rsspade --help`.", file=sys.stderr)
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"rsspade {__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        print(
            f"rsspade: expected a command out of {', '.join(COMMANDS)}, found {arguments[0]!r}. See `rsspade --help`.",
            file=sys.stderr,
        )
        return 2
    return run_command(f"rsspade {arguments[0]}", COMMANDS[arguments[0]][1](), arguments[1:])


def run_command(name: str, command: Command, arguments: Sequence[str]) -> int:
    """Run one command, called `name`; returns the exit code."""
    parser = _OneLineParser(
        prog=name, description=command.summary, epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    command.configure(parser)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else 2
    with warnings.catch_warnings(), _terminate_as_interrupt():
        warnings.simplefilter("default", RSSpadeWarning)
        warnings.showwarning = _show_warning
        try:
            return while_somebody_reads(lambda: command.run(options))
        except RSSpadeError as err:
            print(f"{name}: {_one_line(err)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{name}: interrupted.", file=sys.stderr)
            return 130
        except _Terminated:
            print(f"{name}: terminated.", file=sys.stderr)
            return 143


class _Terminated(BaseException):
    """Somebody sent SIGTERM: a queue whose time is up, a machine that shuts down."""


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind the program as Ctrl-C does, so that it says what is kept and ends its workers."""

    def stop(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, RSSpadeWarning):
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), file=sys.stderr, end="")
