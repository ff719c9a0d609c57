"""Errors and warnings that a user can act on.

Every `RSSpadeError` is a mistake in what the program was given: the command line prints its one
sentence and exits with code 2. Anything else that escapes is a bug and shows its traceback.

The classes take one finished sentence, so that they survive the trip between worker processes;
`explain` composes it from the four things a reader needs.
"""

__all__ = ["ConfigError", "InputError", "OutputError", "RSSpadeError", "RSSpadeWarning", "check_seed", "explain"]


class RSSpadeError(Exception):
    """Root of all errors that a user can act on."""


class InputError(RSSpadeError, ValueError):
    """A file, a dataset or a value that was handed in cannot be used."""


class OutputError(RSSpadeError, OSError):
    """The result cannot be written where it was asked for."""


class ConfigError(RSSpadeError, ValueError):
    """An option is unknown, out of range or contradicts another."""


class RSSpadeWarning(UserWarning):
    """The work goes on, but the user should know."""


def explain(where: object, *, expected: str, found: str, fix: str) -> str:
    """Compose the one sentence: where, what was expected, what was found, what to do."""
    return f"{where}: expected {expected}, found {found}. {fix}"


def check_seed(seed: int) -> None:
    """Refuse what no random generator takes, before the work that would end there."""
    if not 0 <= seed < 2**63:
        raise ConfigError(
            explain("--seed", expected="a whole number from 0 on", found=str(seed), fix="Correct the option.")
        )
