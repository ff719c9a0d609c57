"""Tables in Markdown, as RESULTS.md files hold them."""

import math
from collections.abc import Sequence

from experiments.cells.statistics import Difference, mean_and_spread

__all__ = ["difference", "number", "spread", "table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(values: Sequence[float], digits: int) -> str:
    """`23.41 ± 0.08`: mean and standard deviation over seeds."""
    mean, deviation = mean_and_spread(values)
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def difference(found: Difference, digits: int) -> str:
    """`+0.21 (+0.10 … +0.32)`: mean and 95 % interval, where there is one."""
    if math.isnan(found.low):
        return f"{found.mean:+.{digits}f}"
    return f"{found.mean:+.{digits}f} ({found.low:+.{digits}f} … {found.high:+.{digits}f})"


def number(value: float, form: str) -> str:
    """A number in this form; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:{form}}"
