"""`RESULTS.md` of the experiment: scores, paired differences, classes, speed, and what could have been seen at all."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.cell import Question, Record
from experiments.cells.machine import origin
from experiments.cells.statistics import Difference, detectable_difference, holm, paired_difference, verdict
from experiments.cells.tables import difference, number, spread, table
from experiments.table3_augmentation.images import describe_images
from experiments.table3_augmentation.plan import CONTRASTS, FACTORS, REAL, REGIMES, Contrast, Preset

__all__ = ["Found", "steps_to_reach", "write_report"]

Found = dict[str, dict[int, Record]]
"""Arm -> seed -> record."""

RARE = 0.03
"""A class with less than this share of the scored pixels is called rare."""

LEARNS = 0.05
"""mIoU by which a network that sees more than single pixels should be ahead of a forest that does not."""

ALPHA = 0.05
"""How often chance alone may be called a help or a harm, over all tests of the core together."""

PAPER = "The paper, on its own data, one training each: mIoU .467 (True) → .480 (Mix), accuracy .734 → .746."
CAPTIONS = {
    "curves": "Validation mIoU on the way: the mean over the seeds that both have, shaded one standard deviation. Above at equal steps, below at equal "
    "epochs: there True has half the steps, and its learning rate falls sooner.",
    "maps": "The test tiles with the most classes, of different scenes: real image, labels, and the maps of networks trained on real tiles (True) "
    "or on real and synthetic ones (Mix), with all labels or few; first seed.",
    "images": "The training tiles with the most classes, of different scenes: the real image, what the generator of all tiles (first seed) makes of "
    "their sources, and the same calibrated, with residuals of other tiles laid over it, which is what Mix learns from.",
}
TITLES = {
    "scenes": "Few scenes instead of few tiles",
    "images": "What kind of synthetic images",
    "until": "Real tiles alone at the end",
    "ratio": "How many synthetic tiles per real one",
    "samples": "How many images of each tile",
    "labels": "How many clear images",
    "augmentation": "The same budget of plain augmentation",
}


def write_report(
    path: Path, conclusions: Mapping[str, Any], preset: Preset, found: Found, *, drawn: Sequence[str]
) -> None:
    """Write the tables; `drawn` are the pictures beside the curves."""
    fresh, test = Question("train", (), preset.fresh), Question("test", ())
    head = (
        f"<!-- made by python -m experiments.table3_augmentation --preset {conclusions['preset']} -->\n\n"
        f"Built-in world, preset `{conclusions['preset']}`, {origin(conclusions)}. Mean ± standard "
        f"deviation over seeds; differences are paired by seed, with 95 % interval. mIoU is decided on a fresh world "
        f"({preset.fresh.name}) that no network and no generator has seen; the test split stands beside it.\n\n{PAPER}\n"
    )
    sections = [
        head, _scores(found, fresh, test), _learning(found, fresh, test), _core(found, preset, fresh), _epochs(found, preset, fresh), _speed(found, preset),
        *_classes(found, preset, fresh), _generators(found), describe_images(conclusions["images"]),
        *(_factor(part, found, preset, fresh) for part in FACTORS),
        "## Figures\n" + "".join(f"\n![{name}]({name}.png)\n\n*{CAPTIONS[name]}*\n" for name in ("curves", *drawn)),
    ]  # fmt: skip
    path.write_text("\n".join(section for section in sections if section), encoding="utf-8")
    print(f"Wrote {path}")


def values(records: Mapping[int, Record], question: Question, measure: str) -> list[float]:
    """A measure of each record, in the order of seeds."""
    return [float(records[seed].scores[str(question)][measure]) for seed in sorted(records)]


def pairs(found: Found, contrast: Contrast, question: Question, measure: str) -> tuple[list[float], list[float]]:
    """A measure of both arms, of the seeds that both have."""
    first, second = found.get(contrast.first, {}), found.get(contrast.second, {})
    seeds = sorted(first.keys() & second.keys())
    one, other = ({seed: records[seed] for seed in seeds} for records in (first, second))
    return values(one, question, measure), values(other, question, measure)


def _titled(text: str, preset: Preset) -> str:
    few, scarce = (f"{share:.0%}".replace("%", " %") for share in (preset.few, preset.scarce))
    return text.format(few=few, scarce=scarce)


def _scores(found: Found, fresh: Question, test: Question) -> str:
    rows = []
    for name, records in found.items():
        first = next(iter(records.values()))
        if first.trains == "generator":
            continue
        rows.append(
            [name, str(first.options.get("steps", "–")), spread(values(records, fresh, "miou"), 4),
             spread(values(records, fresh, "accuracy"), 4), spread(values(records, test, "miou"), 4),
             spread(values(records, test, "accuracy"), 4), str(len(records))]
        )  # fmt: skip
    head = ["arm", "steps", "mIoU, fresh world", "accuracy", "mIoU, test split", "accuracy", "seeds"]
    return "## Scores\n\n" + table(head, rows)


def _learning(found: Found, fresh: Question, test: Question) -> str:
    """The network against the forest, seed by seed, and class by class."""
    network, forest = found.get("learner all", {}), found.get("forest all", {})
    seeds = sorted(network.keys() & forest.keys())
    if not seeds:
        return ""
    rows, gaps = [], []
    for seed in seeds:
        cells = [f"{seed}"]
        for question in (fresh, test):
            one, other = (float(arm[seed].scores[str(question)]["miou"]) for arm in (network, forest))
            cells += [f"{one:.4f}", f"{other:.4f}", f"{one - other:+.4f}"]
            gaps.append(one - other)
        rows.append(cells)
    ahead = sum(min(gaps[n : n + 2]) >= LEARNS for n in range(0, len(gaps), 2))
    text = (
        f"RS-UNet after {network[seeds[0]].options['steps']} steps on real tiles against a random forest of single pixels: the same "
        f"bands, tiles and labels. Ahead by at least {LEARNS} mIoU on both with {ahead} of {len(seeds)} seeds; the smallest lead "
        f"is {min(gaps):+.4f}.\n\n"
    )
    head = [
        "seed",
        *(f"{what}, {where}" for where in ("fresh world", "test split") for what in ("RS-UNet", "forest", "lead")),
    ]
    classes = []
    for name, entry in network[seeds[0]].scores[str(fresh)]["per_class"].items():
        ious = [[arm[s].scores[str(fresh)]["per_class"][name]["iou"] for s in seeds] for arm in (network, forest)]
        if not any(None in values for values in ious):
            share = entry["pixels"] / network[seeds[0]].scores[str(fresh)]["pixels"]
            classes.append([name, f"{share:.1%}", spread(ious[0], 3), spread(ious[1], 3)])
    by_class = table(["IoU, fresh world", "share", "RS-UNet", "forest"], classes)
    return "## Does the network learn?\n\n" + text + table(head, rows) + "\n" + by_class


def _core(found: Found, preset: Preset, question: Question) -> str:
    """Mix against True at equal steps, the comparisons that the experiment is about."""
    entries = _compared(found, "core", question)
    if not entries:
        return ""
    raised = holm([d.p_value for *_, d in entries]) if len(entries[0][1]) > 1 else [math.nan] * len(entries)
    level, interim = ALPHA / len(entries), _interim(entries, preset)
    rows = []
    for (contrast, mixed, real, gap), p in zip(entries, raised, strict=True):
        accuracy = paired_difference(*pairs(found, contrast, question, "accuracy"))
        rows.append(
            [_titled(contrast.title, preset), difference(gap, 4), number(gap.p_value, ".3g"), number(p, ".3g"), _ahead(mixed, real),
             number(detectable_difference(mixed, real, alpha=level), ".4f"), difference(accuracy, 4),
             "not yet" if interim else verdict(gap, p, above="helps", below="harms")]
        )  # fmt: skip
    head = [
        "", "mIoU", "p, paired t", f"p, of {len(entries)} (Holm)", "Mix ahead",
        f"smallest difference found with 80 % power (at 5 % / {len(entries)})", "accuracy", "verdict (mIoU, Holm)",
    ]  # fmt: skip
    text = "At equal steps: Mix has seen half as many crops of real tiles as True.\n\n" + interim
    return "## Does it help?\n\n" + text + table(head, rows)


def _epochs(found: Found, preset: Preset, question: Question) -> str:
    """The paper's comparison, which holds two causes."""
    rows = [
        [_titled(contrast.title, preset), difference(gap, 4), _ahead(mixed, real),
         difference(paired_difference(*pairs(found, contrast, question, "accuracy")), 4)]
        for contrast, mixed, real, gap in _compared(found, "epochs", question)
    ]  # fmt: skip
    text = (
        "As the paper compares: both see each real tile equally often, and Mix as many synthetic ones beside. Mix is thus trained "
        "for twice as many steps, and longer training helps by itself: no test, no verdict.\n\n"
    )
    return "## At equal epochs\n\n" + text + table(["", "mIoU", "Mix ahead", "accuracy"], rows) if rows else ""


def _compared(
    found: Found, part: str, question: Question
) -> list[tuple[Contrast, list[float], list[float], Difference]]:
    """The contrasts of a part that have seeds, with both arms' mIoU and the paired difference."""
    entries = []
    for contrast in (c for c in CONTRASTS if c.part == part):
        mixed, real = pairs(found, contrast, question, "miou")
        if mixed:
            entries.append((contrast, mixed, real, paired_difference(mixed, real)))
    return entries


def _ahead(mixed: Sequence[float], real: Sequence[float]) -> str:
    return f"{sum(m > r for m, r in zip(mixed, real, strict=True))} of {len(mixed)}"


def _interim(entries: Sequence[tuple[Contrast, list[float], list[float], Difference]], preset: Preset) -> str:
    fewest = min(gap.pairs for *_, gap in entries)
    if fewest >= len(preset.seeds):
        return ""
    return f"**Interim**: {fewest} of the {len(preset.seeds)} seeds that are planned; no verdict counts before the last.\n\n"


def steps_to_reach(curve: Sequence[Mapping[str, float]], goal: float) -> float:
    """The step at which a curve first reaches a score, straight between validations; infinite where it never does."""
    before = {"step": 0.0, "miou": 0.0}
    for point in curve:
        if point["miou"] >= goal:
            rise = point["miou"] - before["miou"]
            part = 1.0 if rise <= 0 else (goal - before["miou"]) / rise
            return float(before["step"] + part * (point["step"] - before["step"]))
        before = dict(point)
    return math.inf


def _speed(found: Found, preset: Preset) -> str:
    """The paper's "faster": steps until True's last validation mIoU, of the same seed."""
    rows = []
    for contrast in (c for c in CONTRASTS if c.part in ("core", "epochs")):
        mixed, real = found.get(contrast.first, {}), found.get(contrast.second, {})
        seeds = sorted(mixed.keys() & real.keys())
        if not seeds:
            continue
        goals = [real[seed].curve[-1]["miou"] for seed in seeds]
        own = statistics.median(steps_to_reach(real[s].curve, g) for s, g in zip(seeds, goals, strict=True))
        need = [steps_to_reach(mixed[seed].curve, goal) for seed, goal in zip(seeds, goals, strict=True)]
        middle = statistics.median(need)
        reached = sum(math.isfinite(n) for n in need)
        title = _titled(contrast.title, preset).replace(": Mix − True", "", 1)
        shown, ratio = (f"{middle:.0f}", f"{middle / own:.2f}") if math.isfinite(middle) else ("not reached", "–")
        rows.append([title, f"{own:.0f}", shown, ratio, f"{reached} of {len(seeds)}"])
    text = (
        "Steps until the validation mIoU that True of the same seed ends with is first reached (True itself may touch it on "
        "the way). Median over seeds. The learning rate falls over all steps of a run: a True of half the steps has its low rates "
        "earlier, so that Mix is at a disadvantage in those rows.\n\n"
    )
    head = ["", "True", "Mix", "Mix / True", "Mix reaches it"]
    return "## Is it faster?\n\n" + text + table(head, rows) if rows else ""


def _classes(found: Found, preset: Preset, question: Question) -> list[str]:
    """IoU per class, True and Mix at equal steps."""
    sections = []
    for regime, title in REGIMES.items():
        mixed = found.get(f"mix {regime}", {})
        real = found.get(REAL[regime], {})
        seeds = sorted(mixed.keys() & real.keys())
        if not seeds:
            continue
        scores = {n: [r[s].scores[str(question)] for s in seeds] for n, r in (("true", real), ("mix", mixed))}
        first = scores["true"][0]
        shares = {name: entry["pixels"] / first["pixels"] for name, entry in first["per_class"].items()}
        rows = []
        for name, share in sorted(shares.items(), key=lambda item: -item[1]):
            one, other = ([s["per_class"][name]["iou"] for s in scores[n]] for n in ("true", "mix"))
            if None in one or None in other:
                continue
            rows.append(
                [f"{name} (rare)" if share < RARE else name, f"{share:.1%}", spread(one, 3), spread(other, 3),
                 difference(paired_difference(other, one), 3)]
            )  # fmt: skip
        head = ["class", "share", "True: IoU", "Mix: IoU", "Mix − True"]
        sections.append(f"## By class: {_titled(title, preset)}, equal steps\n\n" + table(head, rows))
    return sections


def _generators(found: Found) -> str:
    asked = str(Question("test"))
    rows = [
        [name, str(next(iter(records.values())).options["steps"]),
         *(spread([float(r.scores[asked][m]) for r in records.values()], d) for m, d in (("psnr", 2), ("ssim", 4), ("sam_rad", 4)))]
        for name, records in found.items() if next(iter(records.values())).trains == "generator"
    ]  # fmt: skip
    head = ["", "steps", "PSNR (dB)", "SSIM", "SAM (rad)"]
    return "## The generators, on the test split\n\n" + table(head, rows) if rows else ""


def _factor(part: str, found: Found, preset: Preset, question: Question) -> str:
    rows = []
    for contrast in (c for c in CONTRASTS if c.part == part):
        one, other = pairs(found, contrast, question, "miou")
        if one:
            gap = paired_difference(one, other)
            rows.append(
                [_titled(contrast.title, preset), difference(gap, 4), number(gap.p_value, ".3g"),
                 number(detectable_difference(one, other), ".4f"), str(gap.pairs)]
            )  # fmt: skip
    head = ["", "mIoU", "p, paired t (not raised)", "smallest difference seen with 80 % power", "seeds"]
    return f"## {TITLES[part]}\n\n" + table(head, rows) if rows else ""
