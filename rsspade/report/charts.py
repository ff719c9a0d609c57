"""The geometry of small charts: what the page draws as SVG, in the colours of its own style sheet.

Own SVG and not matplotlib's, because a drawing made of classes follows the reader's colour scheme, and its text is
text. Every chart has a viewBox of its own units; nothing here is a pixel.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

__all__ = ["Chart", "Curve", "Scale", "class_chart", "history_chart", "scale_chart"]

_WIDTH, _HEIGHT = 320.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 10.0, 28.0
_SCALE_LINE, _SCALE_LEFT, _SCALE_RIGHT = 24.0, 118.0, _WIDTH - 58.0
_MOST_POINTS = 300  # more than a small chart can show


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One line: `series` chooses its colour and dash in the style sheet, `band` is a polygon around it."""

    name: str
    series: str
    points: str
    band: str = ""
    dots: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart ready to draw; `text` says in words what it shows."""

    title: str
    text: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    note: str = ""
    swatch: str = ""
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Answers on one axis, a line each, better to the right: (label, value, series, x, y)."""

    title: str
    text: str
    marks: tuple[tuple[str, str, str, float, float], ...]
    width: float = _WIDTH
    left: float = _SCALE_LEFT
    right: float = _SCALE_RIGHT

    @property
    def height(self) -> float:
        """Of the drawing."""
        return _SCALE_LINE * len(self.marks) + 4


def history_chart(
    title: str,
    curves: Mapping[str, tuple[str, Sequence[tuple[int, float]]]],
    *,
    best: Mapping[str, int | None],
    last_step: int,
) -> Chart:
    """Values over steps: run -> (series, points); a dot where the best validation was.

    `last_step` is that of all runs, so that charts beside one another can be compared.
    """
    thin = {name: (series, _thinned(points)) for name, (series, points) in curves.items()}
    values = [value for _, points in thin.values() for _, value in points]
    x, x_ticks = _axis(0, last_step, _LEFT, _WIDTH - _RIGHT, round_ends=False)
    y, y_ticks = _axis(min(values), max(values), _HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for name, (series, points) in thin.items():
        dots = [(x(s), y(v), f"{name}: best at step {s}, {v:.4g}") for s, v in points if s == best.get(name)]
        if len(points) == 1 and not dots:
            dots = [(x(s), y(v), f"{name}: step {s}, {v:.4g}") for s, v in points]
        drawn.append(Curve(name=name, series=series, points=_path((x(s), y(v)) for s, v in points), dots=tuple(dots)))
    ends = "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, (_, points) in thin.items())
    return Chart(
        title=title, text=f"{title} over training steps: {ends}.", curves=tuple(drawn), x_ticks=x_ticks, y_ticks=y_ticks
    )


def class_chart(
    title: str,
    bands: Sequence[str],
    spectra: Mapping[str, tuple[str, Sequence[float], Sequence[float]]],
    *,
    highest: float,
    note: str,
    swatch: str,
) -> Chart:
    """Mean spectra with their spread: name -> (series, mean, deviation)."""
    span = (_WIDTH - _RIGHT - _LEFT) / max(len(bands), 1)
    xs = [_LEFT + span * (n + 0.5) for n in range(len(bands))]
    y, y_ticks = _axis(0.0, highest, _HEIGHT - _BOTTOM, _TOP)
    drawn, words = [], []
    for name, (series, mean, deviation) in spectra.items():
        upper = [(a, y(m + d)) for a, m, d in zip(xs, mean, deviation, strict=True)]
        lower = [(a, y(max(m - d, 0.0))) for a, m, d in zip(xs, mean, deviation, strict=True)]
        points = [(a, y(m)) for a, m in zip(xs, mean, strict=True)]
        dots = [
            (a, b, f"{name}, {band}: {m:.3f} ± {d:.3f}")
            for (a, b), band, m, d in zip(points, bands, mean, deviation, strict=True)
        ]
        drawn.append(
            Curve(
                name=name, series=series, points=_path(points), band=_path([*upper, *reversed(lower)]), dots=tuple(dots)
            )
        )
        words.append(f"{name} " + ", ".join(f"{band} {m:.3f}" for band, m in zip(bands, mean, strict=True)))
    return Chart(
        title=title, text=f"Mean reflectance of {title}: {'; '.join(words)}.", curves=tuple(drawn),
        x_ticks=tuple(zip(xs, bands, strict=True)), y_ticks=y_ticks, note=note, swatch=swatch,
    )  # fmt: skip


def scale_chart(title: str, marks: Sequence[tuple[str, str, float]], *, higher_is_better: bool, shown: str) -> Scale:
    """Answers on one axis: (name, series, value); the better end is right."""
    values = [value for _, _, value in marks]
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    ends = (low - margin, high + margin) if higher_is_better else (high + margin, low - margin)
    axis = _Axis(*ends, _SCALE_LEFT, _SCALE_RIGHT)
    placed = tuple(
        (name, shown.format(value), series, axis(value), _SCALE_LINE * (n + 0.5) + 2)
        for n, (name, series, value) in enumerate(marks)
    )
    text = ", ".join(f"{name} {shown.format(value)}" for name, _, value in marks)
    return Scale(title=title, text=f"{title}, better to the right: {text}.", marks=placed)


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most so many points, each the mean of its neighbours; the last one is kept as it is."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[n : n + size] for n in range(0, len(points) - 1, size)]
    means = [(group[-1][0], math.fsum(v for _, v in group) / len(group)) for group in groups]
    return [*means[:-1], points[-1]]


class _Axis:
    """A value's place between two ends."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start), 1)


def _axis(
    low: float, high: float, start: float, stop: float, *, round_ends: bool = True
) -> tuple[_Axis, tuple[tuple[float, str], ...]]:
    """An axis and its ticks; with `round_ends` it begins and ends at one."""
    if high - low <= 1e-12 * max(abs(high), 1e-12):
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    at = [float(v) for v in MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    if round_ends:
        low, high = min(low, at[0]), max(high, at[-1])
    axis = _Axis(low, high, start, stop)
    return axis, tuple((axis(v), _tick(v)) for v in at if low <= v <= high)


def _tick(value: float) -> str:
    return (f"{value:g}" if abs(value) < 1e5 else f"{value:.3g}".replace("e+0", "e")).replace("-", "−")


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
