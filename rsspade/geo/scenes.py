"""Which files make up which scene: from the flags of one scene, or from a table of many."""

import csv
import datetime
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsspade.data.manifest import safe_name
from rsspade.errors import InputError, explain

__all__ = ["INPUTS", "SceneFiles", "read_scenes"]

INPUTS = ("s2", "s1", "lulc", "dem", "cloud_mask")
"""The inputs of a scene, in the order in which they may set the grid."""

_COLUMNS = ("scene", *INPUTS, "s1_date", "s2_date")
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneFiles:
    """The files of one scene, per input; and its dates (YYYY-MM-DD) where known."""

    name: str
    paths: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    s1_date: str = ""
    s2_date: str = ""

    def __post_init__(self) -> None:
        if not any(self.paths.get(i) for i in INPUTS[:4]):
            raise InputError(
                explain(f"scene {self.name}", expected="at least one of --s2, --s1, --lulc, --dem", found="none", fix="Name its files.")
            )  # fmt: skip
        for label, date in (("s1_date", self.s1_date), ("s2_date", self.s2_date)):
            if date and not _is_date(date):
                raise InputError(
                    explain(f"scene {self.name}, {label}", expected="a date as YYYY-MM-DD", found=repr(date), fix="Correct it, or leave it out.")
                )  # fmt: skip


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None


def _rows(table: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from table
    except csv.Error as err:
        raise InputError(
            explain(
                f"{path} line {table.line_num + 1}", expected="a table (CSV)", found=str(err), fix="Correct the line."
            )
        ) from err


def _fields(row: Mapping[Any, Any]) -> int:
    """How many a line has: those without a column stand under None, those that it lacks are None."""
    return sum(value is not None for column, value in row.items() if column is not None) + len(row.get(None) or ())


def read_scenes(path: Path) -> list[SceneFiles]:
    """Read a table with the columns scene, s2, s1, lulc, dem, cloud_mask, s1_date, s2_date.

    Several paths in one field are separated by ";"; relative ones count from the table's folder; columns that
    are not needed may be left out.
    """
    if not path.is_file():
        raise InputError(
            explain(path, expected="a table of scenes (CSV)", found="no such file", fix="Correct the path.")
        )
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(
            explain(
                path,
                expected=f"at most {_MAX_BYTES} bytes",
                found=str(path.stat().st_size),
                fix="Is this a table of scenes?",
            )
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        raise InputError(explain(path, expected="UTF-8 text", found=str(err), fix="Save the table as UTF-8.")) from err
    table = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    header = table.fieldnames or []
    unknown = [c for c in header if c not in _COLUMNS]
    if "scene" not in header or unknown:
        raise InputError(
            explain(path, expected=f"columns out of {', '.join(_COLUMNS)}, scene among them", found=", ".join(unknown or header) or "none",
                    fix="Separate fields by ',', and paths in one field by ';'." if ";" in "".join(header) else "Correct the first line.")
        )  # fmt: skip
    doubled = next((name for name in header if header.count(name) > 1), None)
    if doubled is not None:
        raise InputError(
            explain(path, expected="each column once", found=f"{doubled} again", fix="Put several paths into one field, separated by ';'.")
        )  # fmt: skip
    scenes: dict[str, SceneFiles] = {}
    taken: dict[str, str] = {}  # some disks do not tell capitals apart
    for row in _rows(table, path):
        where = f"{path} line {table.line_num}"
        if None in row or None in row.values():
            raise InputError(
                explain(
                    where,
                    expected=f"{len(header)} fields",
                    found=str(_fields(row)),
                    fix="Separate paths by ';' and fields by ','.",
                )
            )
        name = safe_name(row["scene"])
        if not row["scene"].strip():
            raise InputError(explain(where, expected="the name of a scene", found="none", fix="Name it."))
        if name.casefold() in taken:
            raise InputError(
                explain(
                    where,
                    expected="each scene once",
                    found=f"{row['scene']!r}, which is {name!r} as a file's name, again"
                    + ("" if name in scenes else f" (as {taken[name.casefold()]!r}, but for capitals)"),
                    fix="Put all its files into one line, separated by ';', or rename one (letters, digits, '.', '_', '-').",
                )
            )
        taken[name.casefold()] = name
        files = {
            i: tuple((path.parent / p.strip()).absolute() for p in (row.get(i) or "").split(";") if p.strip())
            for i in INPUTS
        }
        scenes[name] = SceneFiles(
            name=name,
            paths=files,
            s1_date=(row.get("s1_date") or "").strip(),
            s2_date=(row.get("s2_date") or "").strip(),
        )
    if not scenes:
        raise InputError(explain(path, expected="at least one scene", found="none", fix="Add a line per scene."))
    return list(scenes.values())
