"""What training scripts have in common: options in, one line for a mistake, an exit code out."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from rsspade.errors import RSSpadeError, RSSpadeWarning
from rsspade.memory import keep_freed_memory
from rsspade.options import describe_options, read_options
from rsspade.pipes import while_somebody_reads

__all__ = ["run_script"]

T = TypeVar("T")


def run_script(
    name: str, usage: str, kind: type[T], argv: Sequence[str] | None, find_train: Callable[[], Callable[[T], int]]
) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user).

    Args:
        name: Of the script, in front of its errors.
        usage: The text above the options in `--help`.
        kind: The dataclass of its options.
        argv: The command line; that of the process by default.
        find_train: Imports and returns what trains, after the options are read: a typing error is told at once.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        _say(f"{name}: expected options, at least --data and --out, found none. See `--help`.")
        return 2
    if "--help" in arguments or "-h" in arguments:
        return while_somebody_reads(lambda: _show(usage + describe_options(kind)))
    with warnings.catch_warnings():
        warnings.simplefilter("default", RSSpadeWarning)
        show = warnings.showwarning
        warnings.showwarning = lambda message, category, *rest: (
            _say(f"warning: {message}") if issubclass(category, RSSpadeWarning) else show(message, category, *rest)
        )
        try:
            config = read_options(kind, arguments)
            keep_freed_memory()
            return while_somebody_reads(lambda: find_train()(config))
        except RSSpadeError as err:
            _say(f"{name}: {err}")
            return 2
        except KeyboardInterrupt:
            _say(f"{name}: interrupted.")
            return 130


def _show(text: str) -> int:
    print(text)
    return 0


def _say(line: str) -> None:
    """One line on standard error, from one of the processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(" ".join(line.split()), file=sys.stderr)
