"""Train a generator: a thin door to `rsspade.training`, see `python train_gan.py --help`."""

import sys

from rsspade.training.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
