"""The paper's claim that radar and relief add noise in towns, as a paired test."""

import math
from collections.abc import Mapping

from experiments.cells.cell import Question, Record
from experiments.cells.statistics import detectable_difference, holm, paired_difference, verdict
from experiments.cells.tables import difference, number, table

__all__ = ["towns"]

Subset = tuple[str, ...]

TOWN = "built"
ALPHA = 0.05
"""How often chance alone may be called an effect, over all tests together."""
ADDED: tuple[tuple[str, Subset, Subset], ...] = (
    ("radar to land cover", ("s1", "lulc"), ("lulc",)),
    ("relief to land cover", ("lulc", "dem"), ("lulc",)),
    ("radar and relief to land cover", ("s1", "lulc", "dem"), ("lulc",)),
    ("radar to land cover and relief", ("s1", "lulc", "dem"), ("lulc", "dem")),
    ("relief to land cover and radar", ("s1", "lulc", "dem"), ("s1", "lulc")),
)
"""What is added to what; by the claim, each makes towns worse."""


def class_psnr(record: Record, subset: Subset, *, town: bool) -> float:
    """PSNR over the pixels of towns, or over all others."""
    per_class = record.scores[str(Question("test", subset))]["per_class"]
    chosen = [entry for name, entry in per_class.items() if (name == TOWN) == town]
    squared = sum(entry["rmse"] ** 2 * entry["pixels"] for entry in chosen) / sum(entry["pixels"] for entry in chosen)
    return -10 * math.log10(squared)


def towns(own: Mapping[Subset, Mapping[int, Record]]) -> str:
    """What adding a source changes in towns and elsewhere; empty where there is nothing to compare."""
    entries = []
    for title, more, less in ADDED:
        seeds = sorted(own.get(more, {}).keys() & own.get(less, {}).keys())
        if not seeds or TOWN not in own[more][seeds[0]].scores[str(Question("test", more))]["per_class"]:
            continue
        arms = {
            town: [[class_psnr(own[subset][seed], subset, town=town) for seed in seeds] for subset in (more, less)]
            for town in (True, False)
        }
        entries.append((title, paired_difference(*arms[True]), paired_difference(*arms[False]), arms[True]))
    if not entries:
        return ""
    several = all(town.pairs > 1 for _, town, *_ in entries)
    raised = holm([town.p_value for _, town, *_ in entries]) if several else [math.nan] * len(entries)
    level = ALPHA / len(entries)
    rows = [
        [
            title,
            difference(town, 2),
            difference(elsewhere, 2),
            number(town.p_value, ".3g"),
            number(p, ".3g"),
            number(detectable_difference(*arms, alpha=level), ".2f"),
            verdict(town, p, above="better, against the claim", below="worse, as claimed"),
        ]
        for (title, town, elsewhere, arms), p in zip(entries, raised, strict=True)
    ]
    text = (
        "The paper holds that in towns radar and relief have little to say and may add noise. PSNR over the pixels of the "
        f"class `{TOWN}`, with a source minus without it, models of their own, paired by seed; p-values of the "
        f"{len(entries)} tests together are raised after Holm. The pairs tell the luck of trainings, not that of places.\n\n"
    )
    head = [
        "what is added",
        "in towns (dB)",
        "elsewhere (dB)",
        "p, paired t",
        "p, of all (Holm)",
        "least found with 80 % power (dB)",
        "in towns it is",
    ]
    return "## Do radar and relief harm in towns?\n\n" + text + table(head, rows)
