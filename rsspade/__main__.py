"""`python -m rsspade`: the same commands as the console script."""

from rsspade.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
