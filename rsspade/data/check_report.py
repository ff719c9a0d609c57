"""What `rsspade check` found, as findings in sections; as text for people and as JSON for programs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["Finding", "Level", "Report", "Section", "listed"]

_SHOWN = 5
_KEPT = 200  # places per finding in the JSON; a dataset that is wrong throughout need not be listed twice


class Level(IntEnum):
    """How bad a finding is; only `FAIL` makes the dataset wrong."""

    OK = 0
    NOTE = 1
    WARNING = 2
    FAIL = 3

    @property
    def label(self) -> str:
        """As printed."""
        return "FAIL" if self is Level.FAIL else self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How bad it is.
        check: A stable name for programs, such as `grid.transform`.
        text: What was found, with numbers.
        fix: What to do about it.
        places: Files, tiles or scenes concerned.
        numbers: The figures behind the text, JSON-ready.
    """

    level: Level
    check: str
    text: str
    fix: str = ""
    places: Sequence[str] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As stored; numbers that are not finite become null."""
        return {
            "level": self.level.label.lower(), "check": self.check, "text": self.text, "fix": self.fix,
            "places": list(self.places[:_KEPT]), "num_places": len(self.places), "numbers": _finite(self.numbers),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Findings on one matter, under a title."""

    title: str
    findings: Sequence[Finding]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The whole report on a dataset."""

    dataset: str
    num_tiles: int
    sections: Sequence[Section]

    @property
    def findings(self) -> list[Finding]:
        """All findings, in order."""
        return [f for section in self.sections for f in section.findings]

    def count(self, level: Level) -> int:
        """How many findings are of that level."""
        return sum(f.level is level for f in self.findings)

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.count(Level.FAIL) > 0

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"{self.dataset}: {self.num_tiles} tiles"]
        for section in self.sections:
            lines += ["", section.title]
            for finding in section.findings:
                lines.append(f"  {finding.level.label:<8}{finding.text}")
                if finding.places and finding.level >= Level.WARNING:
                    lines.append(f"  {'':<8}in: {listed(finding.places)}")
                if finding.fix:
                    lines.append(f"  {'':<8}→ {finding.fix}")
        return "\n".join([*lines, "", self.verdict()])

    def verdict(self) -> str:
        """The last line."""
        counts = ", ".join(
            f"{n} {word}{'' if n == 1 else 's'}"
            for n, word in ((self.count(Level.FAIL), "failure"), (self.count(Level.WARNING), "warning"))
        )
        return f"{'Something is wrong' if self.failed else 'Nothing is wrong'}: {counts}."

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "dataset": self.dataset, "tiles": self.num_tiles, "failed": self.failed,
            "failures": self.count(Level.FAIL), "warnings": self.count(Level.WARNING),
            "sections": [{"title": s.title, "findings": [f.to_json() for f in s.findings]} for s in self.sections],
        }  # fmt: skip


def listed(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
