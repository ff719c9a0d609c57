"""Where variety comes from: `python -m experiments.variety`."""
