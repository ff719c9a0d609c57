"""What a page says first: how good each run is, and where it is weak, in sentences made of its scores.

A sentence is a list of (text, whether it is stressed), so that the page can stress and still escape everything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rsspade.report.scoring import RunScores
from rsspade.report.tables import MEASURES, value_of

__all__ = ["Sentence", "lead", "share_of_the_way", "weak_points"]

Sentence = list[tuple[str, bool]]
_SOURCES = {"s1": "radar", "lulc": "land cover", "dem": "terrain"}
_RARE = 0.005  # a class with fewer pixels is no finding


def share_of_the_way(summary: Mapping[str, Any], measure: str = "psnr") -> float | None:
    """How far from the class-mean image to the upper bound a run has come; None where one of them is unknown."""
    floor, bound = (value_of(summary["baselines"].get(name), measure) for name in ("class_mean", "oracle"))
    value = value_of(summary, measure)
    if floor is None or bound is None or value is None or bound == floor:
        return None
    return (value - floor) / (bound - floor)


def lead(name: str, summary: Mapping[str, Any]) -> Sentence:
    """How good a run is, in one sentence."""
    psnr, ssim, angle = (MEASURES[m].text(value_of(summary, m)) for m in ("psnr", "ssim", "sam_deg"))
    words: Sentence = [
        (f"{name} reaches ", False), (f"{psnr} dB PSNR", True),
        (f", {ssim} SSIM and a spectral angle of {angle}° on {summary['tiles']} {summary['split']} tiles", False),
    ]  # fmt: skip
    floor, value = value_of(summary["baselines"].get("class_mean"), "psnr"), value_of(summary, "psnr")
    if floor is not None and value is not None:
        gain = value - floor
        words += [(": ", False), (f"{abs(gain):.2f} dB {'above' if gain >= 0 else 'below'} the class-mean image", True)]
    way = share_of_the_way(summary)
    if way is not None and way > 0:
        words.append((f", {way:.0%} of the way from there to the best possible answer", False))
    return [*words, (".", False)]


def weak_points(scores: RunScores) -> list[Sentence]:
    """Where a run is weak: classes, bands, contrast, tiles and sources."""
    found = [
        _weakest_class(scores.summary), _below_class_mean(scores.summary), _flattened(scores.summary),
        _weakest_band(scores.summary), _weakest_tile(scores.per_tile), _needed_source(scores.subsets),
    ]  # fmt: skip
    return [sentence for sentence in found if sentence]


def _common_classes(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    classes = summary.get("per_class", {})
    total = sum(scores["pixels"] for scores in classes.values())
    return {name: s for name, s in classes.items() if s["pixels"] > _RARE * total}


def _weakest_class(summary: Mapping[str, Any]) -> Sentence:
    errors = {name: value for name, s in _common_classes(summary).items() if (value := value_of(s, "psnr")) is not None}
    if len(errors) < 2:
        return []
    worst = min(errors, key=lambda name: errors[name])
    best = max(errors, key=lambda name: errors[name])
    return [("Weakest class ", False), (plain(worst), True), (f" with {errors[worst]:.2f} dB; strongest {plain(best)} with {errors[best]:.2f} dB.", False)]  # fmt: skip


def _below_class_mean(summary: Mapping[str, Any]) -> Sentence:
    floor = summary["baselines"].get("class_mean", {}).get("per_class", {})
    lost = []
    for name, scores in _common_classes(summary).items():
        own, other = value_of(scores, "psnr"), value_of(floor.get(name), "psnr")
        if own is not None and other is not None and own < other:
            lost.append(plain(name))
    return (
        [("Worse than a colour table (the class-mean image) in ", False), (", ".join(lost), True), (".", False)]
        if lost
        else []
    )


def _flattened(summary: Mapping[str, Any]) -> Sentence:
    """The class whose synthetic pixels vary least, compared with the real ones."""
    shares = {}
    for name, scores in _common_classes(summary).items():
        made, true = scores.get("std_made"), scores.get("std_true")
        if made and true and None not in made and None not in true and sum(true) > 0:
            shares[name] = sum(made) / sum(true)
    if not shares:
        return []
    name = min(shares, key=lambda key: shares[key])
    if shares[name] > 0.85:
        return []
    return [
        ("Too even in ", False),
        (plain(name), True),
        (f": its synthetic pixels vary {shares[name]:.0%} as much as the real ones.", False),
    ]


def _weakest_band(summary: Mapping[str, Any]) -> Sentence:
    errors = {name: value for name, s in summary["per_band"].items() if (value := value_of(s, "psnr")) is not None}
    if len(errors) < 2:
        return []
    worst = min(errors, key=lambda name: errors[name])
    return [("Weakest band ", False), (worst, True), (f" with {errors[worst]:.2f} dB.", False)]


def _weakest_tile(rows: Sequence[Mapping[str, Any]]) -> Sentence:
    known = sorted((row["psnr"], row["tile"]) for row in rows if row["psnr"] is not None)
    if len(known) < 2:
        return []
    (low, name), (high, _) = known[0], known[-1]
    return [(f"Tiles lie between {low:.2f} and {high:.2f} dB; the worst is ", False), (name, True), (".", False)]


def _needed_source(subsets: Mapping[tuple[str, ...], Mapping[str, Any]]) -> Sentence:
    whole = next(iter(subsets))
    best = value_of(subsets[whole], "psnr")
    losses = {}
    for source in whole:
        rest = tuple(name for name in whole if name != source)
        value = value_of(subsets.get(rest), "psnr")
        if value is not None and best is not None:
            losses[source] = best - value
    if not losses:
        return []
    needed = max(losses, key=lambda name: losses[name])
    return [
        ("It leans most on ", False),
        (_SOURCES[needed], True),
        (f": without it PSNR falls by {losses[needed]:.2f} dB.", False),
    ]


def plain(name: str) -> str:
    """A class name for people."""
    return name.replace("_", " ")
