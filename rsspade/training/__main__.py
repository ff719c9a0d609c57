"""The door of `train_gan.py` and of `accelerate launch -m rsspade.training`."""

import sys
from collections.abc import Callable, Sequence

from rsspade.config import TrainingConfig
from rsspade.training.script import run_script

__all__ = ["main"]

_HELP = """usage: train_gan.py [--config FILE.yaml] --data DATASET --out RUN [OPTIONS]
       accelerate launch train_gan.py …   (several GPUs, bf16, other hosts)
       accelerate launch --multi_gpu --num_processes 2 train_gan.py …   (two processes on CPUs: for these, too,
                                                                         accelerate wants to hear --multi_gpu)

Trains a generator of optical images from radar, land cover and relief.
example:
  python train_gan.py --data demo-data --out run --steps 2000 --sources s1,lulc,dem --resume

options, on the command line or in the YAML file (the command line wins):
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    return run_script("train_gan.py", _HELP, TrainingConfig, argv, _train)


def _train() -> Callable[[TrainingConfig], int]:
    from rsspade.training.loop import train

    return train


if __name__ == "__main__":
    sys.exit(main())
