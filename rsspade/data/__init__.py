"""The dataset folder: what lies in it, how it is written, split, packed and read."""
