"""The single files that commands write, refused before the work and not after it."""

import os
from pathlib import Path

from rsspade.errors import OutputError, explain

__all__ = ["refuse_target"]


def refuse_target(path: Path, *, suffix: str = "") -> None:
    """Refuse a name that cannot become a file: another suffix, no such folder, a folder in its place."""
    if suffix and path.suffix.lower() != suffix:
        found = repr(path.suffix) if path.suffix else "none"
        raise OutputError(explain(path, expected=f"a name that ends in {suffix}", found=found, fix="Correct the name."))
    if not path.absolute().parent.is_dir():
        raise OutputError(
            explain(
                path,
                expected="a file in a folder that exists",
                found="no such folder",
                fix="Make the folder, or correct the name.",
            )
        )
    if not os.access(path.absolute().parent, os.W_OK):
        raise OutputError(
            explain(path, expected="a file in a folder that can be written", found="no permission", fix="Choose another folder.")
        )  # fmt: skip
    if path.is_dir():
        raise OutputError(explain(path, expected="a file", found="a folder of that name", fix="Choose another name."))
