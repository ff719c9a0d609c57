"""The door of `train_gan.py` and of `accelerate launch -m rsspade.training`."""

import os
import sys
import warnings
from collections.abc import Sequence

from rsspade.config import TrainingConfig
from rsspade.errors import RSSpadeError, RSSpadeWarning
from rsspade.options import describe_options, read_options

__all__ = ["main"]

_HELP = """usage: train_gan.py [--config FILE.yaml] --data DATASET --out RUN [OPTIONS]
       accelerate launch train_gan.py …   (several processes or GPUs, bf16, other hosts)

Trains a generator of optical images from radar, land cover and relief.
example:
  python train_gan.py --data demo-data --out run --steps 2000 --sources s1,lulc,dem --resume

options, on the command line or in the YAML file (the command line wins):
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (2 for a mistake by the user)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(_HELP + describe_options(TrainingConfig))
        return 0 if arguments else 2
    with warnings.catch_warnings():
        warnings.simplefilter("default", RSSpadeWarning)
        show = warnings.showwarning
        warnings.showwarning = lambda message, category, *rest: (
            _say(f"warning: {message}") if issubclass(category, RSSpadeWarning) else show(message, category, *rest)
        )
        try:
            config = read_options(TrainingConfig, arguments)
            from rsspade.training.loop import train  # after the options: a typing error is told at once

            return train(config)
        except RSSpadeError as err:
            _say(f"train_gan.py: {err}")
            return 2
        except KeyboardInterrupt:
            _say("train_gan.py: interrupted.")
            return 130


def _say(line: str) -> None:
    """One line on standard error, from one of the processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(" ".join(line.split()), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
