"""`python -m experiments.table2_sources`: every subset of the sources, by models of its own and by one for all.

Parts: `one` (the model for all subsets), `alone` (a model per subset). Without --part both run.
"""

import argparse
import itertools
import time
from pathlib import Path

from experiments.cells.cell import Question, Record
from experiments.cells.machine import machine
from experiments.cells.results import add_options, open_workshop, write_results
from experiments.table2_sources.plan import PRESETS, SUBSETS, alone, one_for_all
from experiments.table2_sources.report import write_report

PARTS = ("one", "alone")


def main() -> None:
    """Run what is asked for; the tables need both parts."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table2_sources", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--results", type=Path, help="folder of results.json and RESULTS.md (default: that of --out)")
    add_options(parser)
    options = parser.parse_args()
    workshop, preset = open_workshop(options), PRESETS[options.preset]
    parts = options.part or PARTS
    questions = [Question("test", subset) for subset in SUBSETS]
    one: list[Record] = []
    own: dict[tuple[str, ...], list[Record]] = {subset: [] for subset in SUBSETS}
    if "one" in parts:
        one = workshop.run([one_for_all(preset).with_(seed=seed) for seed in preset.seeds], questions)
    if "alone" in parts:
        pairs = list(itertools.product(preset.seeds, zip(SUBSETS, questions, strict=True)))  # seed by seed
        found = workshop.run_all([(alone(preset, s).with_(seed=seed), [q]) for seed, (s, q) in pairs])
        for (_, (subset, _)), record in zip(pairs, found, strict=True):
            own[subset].append(record)
    conclusions = {
        "experiment": "table2_sources", "preset": options.preset, "date": time.strftime("%Y-%m-%d"), "machine": machine(),
    }  # fmt: skip
    folder = options.results or workshop.out / "table2_sources"
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "results.json", conclusions, [*one, *(r for found in own.values() for r in found)])
    if one and all(own.values()):
        write_report(folder / "RESULTS.md", conclusions, one, own)


if __name__ == "__main__":
    main()
