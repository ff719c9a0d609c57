"""`rsspade generate`: an augmented dataset from a trained generator."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rsspade.cli import Command
from rsspade.data.manifest import SPLITS, DatasetFolder
from rsspade.memory import keep_freed_memory
from rsspade.sources import parse_conditions

if TYPE_CHECKING:
    from rsspade.synthesis.generate import Generated
    from rsspade.synthesis.generate_plan import Plan

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="a run folder, or a generator folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="the dataset with the real sources")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DATASET2",
        help="the dataset to make; S1, LULC and DEM in it are second names (hard links) of the same files where the disk allows",
    )  # fmt: skip
    parser.add_argument(
        "--split", default="train", metavar="|".join((*SPLITS, "all")), help="whose tiles (%(default)s)"
    )
    parser.add_argument("--sources", metavar="s1,lulc,dem", help="what the model may see (all that there are)")
    parser.add_argument(
        "--samples", type=int, default=1, metavar="N", help="images per tile (%(default)s: the deterministic one); from 2 on they are drawn, or differ by --residuals"
    )  # fmt: skip
    parser.add_argument(
        "--residuals", type=int, default=0, metavar="N",
        help="lay over each image, class by class, what up to N real training tiles have and images made of them lack: as varied and "
        "rough as real ones, better to train on, further from the one true image (%(default)s: none; try 256)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="tiles at a time (%(default)s)")


def _run(options: argparse.Namespace) -> int:
    from rsspade.evaluation import find_generator
    from rsspade.models import RSSpade
    from rsspade.synthesis.generate import generate
    from rsspade.synthesis.generate_plan import GenerateOptions, Plan, make_plan, refuse_place
    from rsspade.synthesis.generate_processes import leave, make_accelerator, together
    from rsspade.synthesis.provenance import Origin

    def prepare() -> Plan:
        wanted = GenerateOptions(
            split=options.split, sources=None if options.sources is None else parse_conditions(options.sources),
            samples=options.samples, seed=options.seed, residuals=options.residuals, batch_size=options.batch_size,
        )  # fmt: skip
        dataset = DatasetFolder.open(options.data)
        refuse_place(options.out, options.data)
        folder = find_generator(options.run)
        model = RSSpade.from_pretrained(folder)
        return make_plan(wanted, model, Origin.of(folder, model.info), dataset)

    keep_freed_memory()
    accelerator = make_accelerator()
    plan = together(accelerator, prepare)
    made = generate(plan, options.out, accelerator)
    plan.model.seen.gather(accelerator)
    if made is not None:
        plan.model.warn_of_unseen()
        print(_summary(plan, made))
        print(f"Wrote {options.out}")
    leave(accelerator)
    return 0


def _summary(plan: "Plan", made: "Generated") -> str:
    options, tiles = plan.options, len(plan.numbers)
    counts = ", ".join(f"{n} {split}" for split, n in made.dataset.info.split["tiles"].items() if n)
    lines = [f"{len(made.dataset.rows)} images ({counts}) of {tiles} tiles from {', '.join(plan.sources)}"]
    names = {
        "single": "single images" if options.samples > 1 else "the images",
        "mean": f"the mean of {options.samples}",
    }
    for name, scores in made.quality.items():
        lines.append(
            f"  against the real image, {names[name]}: PSNR {_shown(scores['psnr'])} dB, SSIM {_shown(scores['ssim'])}, "
            f"spectral angle {_shown(scores['sam_deg'])}°"
        )
    if not made.quality:
        lines.append("  no tile holds a clear real image to compare with")
    if made.diversity:
        lines.append(
            f"  diversity: mean distance of two samples {_shown(made.diversity['pairwise_distance'])}, spread/RMSE "
            f"{_shown(made.diversity.get('spread_rmse_ratio'))}, rank correlation of spread and error "
            f"{_shown(made.diversity.get('rank_correlation'))}"
        )
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


COMMAND = Command(
    summary="Make an augmented dataset: synthetic clear images beside the real sources they were made from.",
    example="rsspade generate --run run --data demo-data --out demo-synthetic --split train --batch-size 8",
    configure=_configure,
    run=_run,
)
