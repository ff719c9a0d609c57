"""`rsspade convert`: a public dataset, as it was downloaded, as a dataset folder."""

import argparse
from pathlib import Path

from rsspade.cli import Command
from rsspade.data.manifest import SPLITS
from rsspade.data.readers import PublicReader, Sen12msReader, TerraMeshReader, convert
from rsspade.errors import ConfigError, InputError, explain
from rsspade.sources import DEFAULT_OPTICAL_BANDS, parse_optical_bands

__all__ = ["COMMAND"]

KINDS = ("sen12ms", "terramesh")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the public dataset, unpacked as it was published")
    parser.add_argument("--kind", required=True, choices=KINDS, help="what it is; sen12ms is SEN12MS-CR, too")
    parser.add_argument("--out", type=Path, required=True, metavar="DATASET", help="the folder to make")
    parser.add_argument(
        "--s2-bands", default=",".join(DEFAULT_OPTICAL_BANDS), metavar="NAMES", help="optical bands to keep (%(default)s)"
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=SPLITS, help="terramesh: of tiles that lie in no folder of a split (train)"
    )  # fmt: skip
    parser.add_argument(
        "--undecided", choices=("refuse", "leave_out"),
        help="terramesh: what happens to an optical image whose digital numbers do not tell their offset (refuse)",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        raise InputError(
            explain(options.folder, expected="the folder of a public dataset", found="no such folder", fix="Correct the path.")
        )  # fmt: skip
    bands = parse_optical_bands(options.s2_bands)
    reader: PublicReader
    usual = {"split": "train", "undecided": "refuse"}
    idle = [name for name, value in usual.items() if getattr(options, name) not in (None, value)]
    if options.kind == "sen12ms" and idle:
        raise ConfigError(
            explain(f"--{idle[0]}", expected="no such option beside --kind sen12ms, whose splits are published and whose offset is known",
                    found=f"--{idle[0]} {getattr(options, idle[0])}", fix="Leave it out.")
        )  # fmt: skip
    if options.kind == "sen12ms":
        reader = Sen12msReader(options.folder, optical_bands=bands)
    else:
        reader = TerraMeshReader(
            options.folder, split=options.split or "train", optical_bands=bands, undecided=options.undecided or "refuse"
        )
    made = convert(reader, options.out)
    counts = ", ".join(f"{number} {split}" for split, number in made.info.split["tiles"].items() if number)
    print(f"Wrote {made.path}: {len(made.rows)} tiles of {made.info.tile_size} px ({counts}), splits as published")
    return 0


COMMAND = Command(
    summary="Make a dataset from a public one as it was downloaded; its official splits stay.",
    example="rsspade convert SEN12MS --kind sen12ms --out sen12ms",
    configure=_configure,
    run=_run,
)
