"""The door of `accelerate launch -m segmentation.train`."""

import sys
from collections.abc import Callable, Sequence

from rsspade.training.script import run_script
from segmentation.config import SegmentationConfig

__all__ = ["main"]

_HELP = """usage: accelerate launch -m segmentation.train [--config FILE.yaml] --data DATASET --out RUN [OPTIONS]
       python -m segmentation.train …   (one process)

Trains a network that draws land-cover maps from images, on real tiles alone or on real and synthetic ones.
Validation sees real tiles only.
example:
  python -m segmentation.train --data demo-data --synthetic demo-synthetic --ratio 1 --out maps --epochs 20 --resume

options, on the command line or in the YAML file (the command line wins):
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    return run_script("segmentation.train", _HELP, SegmentationConfig, argv, _train)


def _train() -> Callable[[SegmentationConfig], int]:
    from segmentation.loop import train

    return train


if __name__ == "__main__":
    sys.exit(main())
