"""`RESULTS.md` of the figures: the contrasts in a table, what they say, and the figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.cells.machine import origin
from experiments.cells.tables import table
from experiments.figures.contrast import KINDS
from experiments.figures.measures import MEASURES

__all__ = ["write_report"]

FIGURES = {
    "terrain": "Elevation and what is derived from it (the paper's Fig. 1)",
    "radar": "Radar: power as measured, in decibels, averaged against speckle (its Fig. 2)",
    "pair": "One registered tile (its Fig. 3)",
    "synthetic": "Synthetic beside real (its Fig. 6)",
    "contrast": "How much there is to see, against the real image",
}


def write_report(path: Path, results: Mapping[str, Any]) -> None:
    """Write table and figures."""
    about = results["run"]
    head = (
        f"<!-- made by python -m experiments.figures --preset {results['preset']} -->\n\n"
        f"{results['dataset']}, {origin(results)}. Synthetic images by `{about['model']}` from "
        f"{' + '.join(about['sources'])}, {about['steps']} steps, rate {about['lr']:g}, seed {about['seed']}, adversarial loss {about['adversarial']:g}; test split, "
        f"{results['tiles']} tiles of {results['scenes']} scenes"
        + ("" if about["unseen"] else ", **of another split than it was trained on**") + ".\n"
    )  # fmt: skip
    text = [head, "## Do synthetic images show more than real ones?\n", _verdict(results["contrast"]), _table(results)]
    text += [f"## {title}\n\n![{title}]({name}.png)\n" for name, title in FIGURES.items()]
    path.write_text("\n".join(text), encoding="utf-8")
    print(f"Wrote {path}")


def _verdict(contrast: Mapping[str, Any]) -> str:
    """What the synthetic image does to each measure, in a sentence."""
    said: dict[str, list[str]] = {"less": [], "more": [], "as much": [], "one scene cannot tell": []}
    for name, title in MEASURES.items():
        own = contrast.get(name, {}).get("synthetic")
        if own is None:
            continue
        low, high = own["low"], own["high"]
        word = "less" if own["change"] < 0 else "more"
        if low is None:
            word = "one scene cannot tell"
        elif low <= 0 <= high:
            word = "as much"
        said[word].append(f"{title} ({_percent(own['change'])})")
    parts = [f"**{word}**: {', '.join(titles)}" for word, titles in said.items() if titles]
    return "Synthetic against real — " + "; ".join(parts) + ".\n"


def _table(results: Mapping[str, Any]) -> str:
    rows = []
    for name, own in results["contrast"].items():
        cells = [_spread(own.get(kind)) for kind in KINDS]
        rows.append(
            [MEASURES[name], *cells, *(_change(own.get(kind)) for kind in KINDS if kind != "real"), str(own["tiles"])]
        )
    head = ["", *KINDS.values(), *(f"{KINDS[kind]} − real" for kind in KINDS if kind != "real"), "tiles"]
    text = (
        "Images in the space of the scores (reflectance 0 … 0.4 as 0 … 1), mean over bands; mean ± standard deviation over "
        "tiles, and the change against the real image, scene by scene, with its 95 % interval over scenes. JM runs from 0 (the same) to 2 "
        "(no overlap), with 0.002 reflectance of sensor noise in every band.\n\n"
    )
    return text + table(head, rows)


def _spread(own: Mapping[str, Any] | None) -> str:
    if own is None:
        return "–"
    return f"{own['mean']:.4f}" + ("" if own["deviation"] is None else f" ± {own['deviation']:.4f}")


def _change(own: Mapping[str, Any] | None) -> str:
    if own is None:
        return "–"
    interval = "" if own["low"] is None else f" ({_percent(own['low'])} … {_percent(own['high'])})"
    return _percent(own["change"]) + interval


def _percent(share: float) -> str:
    return f"{100 * share:+.0f} %".replace("-", "−")
