"""Tiny generators that were never trained, and calls of `rsspade generate`."""

import hashlib
from pathlib import Path

import rasterio
import torch

from rsspade.channels import num_channels
from rsspade.cli import main
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator

BANDS = ("blue", "green", "red", "nir")


def save_run(folder, *, scheme="dynamic_world", bands=BANDS, sources=("s1", "lulc", "dem"), variety=0, **info):
    """A run folder with a generator in it; returns the generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        channels = {name: num_channels(name, scheme=scheme_named(scheme)) for name in sources}
        architecture = GeneratorConfig(
            sources=channels, optical_bands=bands, base_width=4, depth=3, variety_width=variety
        )  # fmt: skip
        network = build_generator(architecture)
        if variety:
            torch.nn.init.normal_(network.variety.colours.weight, std=0.05)
    model = RSSpade(network, GeneratorInfo(architecture=architecture, landcover_scheme=scheme, **info)).eval()
    model.save_pretrained(Path(folder) / "generator")
    return model


def generate(run, data, out, *more):
    """Its exit code."""
    return main(["generate", "--run", str(run), "--data", str(data), "--out", str(out), *map(str, more)])


def images(folder):
    """Stem -> digest of the synthetic image's file."""
    return {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((folder / "S2").iterdir())}


def pixels(path):
    with rasterio.open(path) as src:
        return src.read()


def tags(path):
    with rasterio.open(path) as src:
        return src.tags()
