"""`rsspade evaluate`: how good a generator is, beside what costs nothing."""

import argparse
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsspade.cli import Command
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import SPLITS, DatasetFolder, of_another_split
from rsspade.errors import ConfigError, explain
from rsspade.jobs import disk_errors
from rsspade.memory import keep_freed_memory
from rsspade.sources import parse_conditions
from rsspade.targets import refuse_target

__all__ = ["COMMAND"]

_COLUMNS = ("psnr", "ssim", "sam_rad", "sam_deg", "mae", "rmse", "ergas")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or a generator folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="the dataset to score on")
    parser.add_argument("--split", default="test", metavar="|".join(SPLITS), help="its split (%(default)s)")
    parser.add_argument("--sources", metavar="s1,lulc,dem", help="what the model may see (all that it knows)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the scores of each tile there")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="tiles at a time (%(default)s)")
    parser.add_argument(
        "--samples", type=int, default=1, metavar="N", help="draws to score too, from 2 on (%(default)s)"
    )


def _run(options: argparse.Namespace) -> int:
    import torch
    from accelerate import Accelerator

    from rsspade.evaluation import evaluate, find_generator
    from rsspade.models import RSSpade
    from rsspade.sampling_scores import check_samples

    sources = None if options.sources is None else parse_conditions(options.sources)
    if options.batch_size < 1:
        raise ConfigError(
            explain("--batch-size", expected="at least 1", found=str(options.batch_size), fix="Correct the value.")
        )
    check_samples(options.samples)
    for path in (options.json, options.csv):
        if path is not None:
            refuse_target(path)
    if options.json is not None and options.csv is not None and options.json.absolute() == options.csv.absolute():
        raise ConfigError(
            explain("--csv", expected="another file than --json", found=str(options.csv), fix="Correct the option.")
        )
    keep_freed_memory()
    model = RSSpade.from_pretrained(find_generator(options.run))
    if options.samples > 1:
        model.check_variety()
    dataset = DatasetFolder.open(options.data)
    # Told so, accelerate lets processes without a GPU work together; otherwise each would score the whole by itself.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available())
    found = evaluate(
        model, dataset, accelerator, split=options.split, sources=sources, batch_size=options.batch_size,
        samples=options.samples,
    )  # fmt: skip
    model.seen.gather(accelerator)
    if not accelerator.is_main_process:
        return 0
    model.warn_of_unseen()
    print(_table(found.summary))
    for path, content in ((options.json, _as_json(found.summary)), (options.csv, _as_csv(found.per_tile))):
        if path is not None:
            with disk_errors(path):
                write_bytes_atomically(path, content)
            print(f"Wrote {path}")
    return 0


def _table(summary: Mapping[str, Any]) -> str:
    """Scores in columns, a row per answer."""
    from rsspade.evaluation import BASELINES

    title = f"{summary['model']} from {','.join(summary['sources'])}"
    rows = {title: summary} | {BASELINES[name]: scores for name, scores in summary["baselines"].items()}
    width = max(map(len, rows))
    head = f"{summary['dataset']}, {summary['split']}: {summary['tiles']} tiles; reflectance clipped to 0 … 0.4, peak 1"
    lines = [head, *of_another_split(summary), " " * width + "".join(f"{column:>10}" for column in _COLUMNS)]
    for name, scores in rows.items():
        lines.append(f"{name:<{width}}" + "".join(f"{_shown(scores[column]):>10}" for column in _COLUMNS))
    return "\n".join([*lines, *_variety_lines(summary), *_class_lines(summary)])


def _variety_lines(summary: Mapping[str, Any]) -> list[str]:
    """One line about the draws, where there are any."""
    from rsspade.sampling_scores import SHOWN

    if "variety" not in summary:
        return []
    scores = summary["variety"]
    shown = ", ".join(f"{title} {_shown(scores[name])}" for name, title in SHOWN.items())
    return ["", f"{scores['samples']} draws per tile: {shown}"]


def _class_lines(summary: Mapping[str, Any]) -> list[str]:
    """A row per land-cover class, the commonest first; beside its scores the class-mean image's PSNR."""
    classes = summary.get("per_class", {})
    if not classes:
        return []
    total = sum(scores["pixels"] for scores in classes.values())
    width = max(len("land cover"), *map(len, classes))
    columns = ("share", "psnr", "mae", "rmse", "sam_deg")
    plain = summary["baselines"].get("class_mean", {}).get("per_class", {})
    lines = [
        "",
        f"{'land cover':<{width}}" + "".join(f"{c:>10}" for c in columns) + "  psnr of the class mean" * bool(plain),
    ]
    for name, scores in sorted(classes.items(), key=lambda item: -item[1]["pixels"]):
        shown = [f"{scores['pixels'] / total:.1%}", *(_shown(scores[column]) for column in columns[1:])]
        end = f"{_shown(plain[name]['psnr']):>24}" if name in plain else ""
        lines.append(f"{name:<{width}}" + "".join(f"{text:>10}" for text in shown) + end)
    return lines


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _as_json(summary: Mapping[str, Any]) -> bytes:
    return (json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["tile"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


COMMAND = Command(
    summary="Score a trained generator against the truth: PSNR, SSIM, spectral angle and more, beside simple baselines.",
    example="rsspade evaluate --run run --data demo-data --split test --sources s1,dem --json scores.json",
    configure=_configure,
    run=_run,
)
