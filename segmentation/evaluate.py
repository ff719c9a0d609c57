"""`python -m segmentation.evaluate`: how good a trained segmentation network is, and the maps it draws."""

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsspade.cli import Command, run_command
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.data.manifest import SPLITS, DatasetFolder, of_another_split
from rsspade.errors import ConfigError, InputError, OutputError, explain
from rsspade.jobs import disk_errors, open_job
from rsspade.memory import keep_freed_memory
from rsspade.progress import progress_bar
from rsspade.targets import refuse_target

__all__ = ["COMMAND", "main"]

_OVERALL = ("accuracy", "miou", "kappa", "mpa", "mf1", "fwiou")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or its folder model")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DATASET", help="the dataset to score on, real tiles"
    )
    parser.add_argument("--split", default="test", metavar="|".join(SPLITS), help="its split (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    parser.add_argument(
        "--maps", type=Path, metavar="FOLDER", help="write each predicted map there, as a coloured GeoTIFF"
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="tiles at a time (%(default)s)")


def _run(options: argparse.Namespace) -> int:
    import torch
    from accelerate import Accelerator

    from segmentation.models.checkpoint import Segmenter

    if options.batch_size < 1:
        raise ConfigError(
            explain("--batch-size", expected="at least 1", found=str(options.batch_size), fix="Correct the value.")
        )
    _refuse_targets(options)
    keep_freed_memory()
    model = Segmenter.from_pretrained(options.run)
    dataset = DatasetFolder.open(options.data)
    # Told so, accelerate lets processes without a GPU work together; otherwise each would score the whole by itself.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available())
    found = evaluate(model, dataset, accelerator, split=options.split, batch_size=options.batch_size, maps=options.maps)
    if accelerator.is_main_process:
        print(_table(found))
        if options.json is not None:
            text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            with disk_errors(options.json):
                write_bytes_atomically(options.json, text.encode())
            print(f"Wrote {options.json}")
        if options.maps is not None:
            print(f"Wrote {options.maps}")
    return 0


def _refuse_targets(options: argparse.Namespace) -> None:
    """Before the work and not after it."""
    if options.json is not None:
        refuse_target(options.json)
    maps = options.maps
    if maps is not None and maps.exists() and not (maps.is_dir() and not any(maps.iterdir())):
        raise OutputError(
            explain(
                f"--maps {maps}",
                expected="a new or empty folder",
                found="something in its place",
                fix="Choose another name.",
            )
        )


def evaluate(
    model: Any,  # noqa: ANN401 (a Segmenter, whose torch loads only when it is needed)
    dataset: DatasetFolder,
    accelerator: Any,  # noqa: ANN401
    *,
    split: str = "test",
    batch_size: int = 8,
    maps: Path | None = None,
) -> dict[str, Any]:
    """Score a network on whole real tiles; the content of the JSON file. Each process takes its share of the tiles.

    The folder `maps` appears when all are drawn.
    """
    from segmentation.evaluation import count_confusion
    from segmentation.labels import labelled_tiles, open_tiles
    from segmentation.maps import write_map
    from segmentation.metrics import scores
    from segmentation.mixing import refuse_synthetic_tiles

    info = model.info
    refuse_synthetic_tiles(dataset)
    if dataset.info.landcover_scheme != info.landcover_scheme:
        raise InputError(
            explain(dataset.path, expected=f"labels in the scheme {info.landcover_scheme}, the network's",
                    found=dataset.info.landcover_scheme, fix=f"Prepare the data with --landcover-to {info.landcover_scheme}.")
        )  # fmt: skip
    tiles = open_tiles(dataset, split, info.sources, random_crops=False)
    labelled_tiles(tiles)
    with contextlib.ExitStack() as stack:
        partial = None if maps is None else _begin_maps(stack, maps, accelerator)
        total = -(-len(tiles) // accelerator.num_processes)
        bar = stack.enter_context(progress_bar(total=total, title="evaluate", unit="tile"))

        def seen(position: int, indices: np.ndarray) -> None:
            if partial is not None:
                with disk_errors(partial):
                    write_map(partial, tiles.rows[position].tile, indices, dataset, info)
            bar.update()

        matrix = count_confusion(
            model.to(accelerator.device).eval(), tiles, accelerator, batch_size=batch_size, seen=seen
        )
    return {
        **scores(matrix, info.scheme.names), "tiles": len(tiles), "split": split,
        "split_sha256": str(dataset.info.split.get("sha256", "")), "trained_split_sha256": info.split_sha256,
        "dataset": dataset.info.name, "landcover_scheme": info.landcover_scheme, "model": info.architecture.model,
        "sources": list(info.sources),
    }  # fmt: skip


def _begin_maps(stack: contextlib.ExitStack, maps: Path, accelerator: Any) -> Path:  # noqa: ANN401
    """The folder in which all processes draw; the main one, which holds it in `stack`, gives it its name at the end."""
    from rsspade.synthesis.generate_processes import together

    def begin() -> None:
        partial = stack.enter_context(open_job(maps, {"command": "segmentation.evaluate"}))
        for leftover in partial.glob("*.tif"):  # of a command that was killed, perhaps of other tiles
            leftover.unlink()

    together(accelerator, begin if accelerator.is_main_process else lambda: None)
    return maps.with_name(maps.name + ".partial")


def _table(found: Mapping[str, Any]) -> str:
    """Overall scores, then a row per class, the commonest first."""
    head = f"{found['model']} from {','.join(found['sources'])} on {found['dataset']}, {found['split']}: {found['tiles']} tiles"
    overall = "   ".join(f"{name} {_shown(found[name])}" for name in _OVERALL)
    columns = ("iou", "pa", "ua", "f1")
    width = max(map(len, found["per_class"]))
    lines = [
        head,
        *of_another_split(found),
        overall,
        "",
        f"{'class':<{width}}{'share':>8}" + "".join(f"{c:>8}" for c in columns),
    ]
    for name, entry in sorted(found["per_class"].items(), key=lambda item: -item[1]["pixels"]):
        share = f"{entry['pixels'] / max(found['pixels'], 1):.1%}"
        lines.append(f"{name:<{width}}{share:>8}" + "".join(f"{_shown(entry[c]):>8}" for c in columns))
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


COMMAND = Command(
    summary="Score a trained segmentation network on real tiles: accuracy, IoU, kappa and more, over all and per class.",
    example="python -m segmentation.evaluate --run maps --data demo-data --split test --json scores.json --maps test-maps",
    configure=_configure,
    run=_run,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    return run_command("segmentation.evaluate", COMMAND, list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
