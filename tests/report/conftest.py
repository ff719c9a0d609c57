"""Run folders as training leaves them, around a tiny generator that was never trained."""

import json

import pytest
import torch
import yaml

from rsspade.channels import num_channels
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator

LINES = [
    {"step": 10, "loss": {"l1": 0.4, "ssim": 0.2}, "lr": 0.002, "images_per_second": 10.0},
    {"step": 20, "loss": {"l1": 0.3, "ssim": 0.1}, "lr": 0.001, "images_per_second": 11.0},
    {"step": 20, "val": {"psnr": 18.0, "ssim": 0.5, "sam_rad": 0.2, "sam_deg": 11.5, "mae": 0.1, "rmse": 0.2}, "best": True},
    {"step": 30, "loss": {"l1": 0.2, "ssim": None}, "lr": 0.0, "images_per_second": 10.5},
]  # fmt: skip


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def data(make_dataset, tmp_path_factory):
    """A dataset of two test tiles."""
    return make_dataset(tmp_path_factory.mktemp("report") / "data").path


@pytest.fixture(scope="package")
def make_run():
    """Factory: `make_run(folder, data=..., lines=..., generator=True, seed=0, **of the generator)`."""

    def make(
        folder, *, data="", lines=LINES, generator=True, seed=0, scheme="dynamic_world", bands=None, model="rs_spade"
    ):
        folder.mkdir(parents=True)
        options = {"data": str(data), "out": str(folder), "model": model, "sources": ["s1", "lulc", "dem"], "steps": 30,
                   "batch_size": 2, "lr": 0.002 + seed, "loss": {"l1": 1.0, "ssim": 0.2, "sam": 0.0, "kind": "hinge"}}  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if generator:
            torch.manual_seed(seed)
            channels = {n: num_channels(n, scheme=scheme_named(scheme)) for n in ("s1", "lulc", "dem")}
            architecture = GeneratorConfig(
                sources=channels, optical_bands=bands or ("blue", "green", "red", "nir"), base_width=4, depth=3
            )
            training = {"dataset": "made-up land", "step": 20, "steps": 30}
            info = GeneratorInfo(architecture=architecture, landcover_scheme=scheme, training=training)
            RSSpade(build_generator(architecture), info).eval().save_pretrained(folder / "generator")
        return folder

    return make
