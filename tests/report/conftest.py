"""Run folders as training leaves them, around a tiny generator that was never trained."""

import json

import numpy as np
import pytest
import torch
import yaml
from rasterio.crs import CRS
from rasterio.transform import Affine

from rsspade.channels import num_channels
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator
from rsspade.sources import LULC
from segmentation.metrics import confusion_matrix, scores

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


@pytest.fixture(scope="package")
def make_map_run():
    """Factory of segmentation runs whose maps are the labels, wrong in their upper third: `make_map_run(folder, data)`."""

    def make(folder, data, *, maps=True):
        dataset, scheme = DatasetFolder.open(data), scheme_named("dynamic_world")
        (folder / "model").mkdir(parents=True)
        (folder / "config.yaml").write_text(
            yaml.safe_dump({"data": str(data), "model": "rs_unet", "network": {"depth": 5}})
        )
        (folder / "metrics.jsonl").write_text(
            '{"step": 5, "val": {"miou": 0.5, "iou": {"water": 0.1}}, "best": true}\n'
        )
        described = {
            "architecture": {"model": "rs_unet"},
            "bands": {"s2": ["red"]},
            "training": {"step": 5, "steps": 5},
        }
        (folder / "model" / "config.json").write_text(json.dumps(described))
        matrix = np.zeros((len(scheme.classes),) * 2, np.int64)
        for row in dataset.in_split("test"):
            labels = dataset.read("lulc", row.tile)
            found = labels.copy()
            found[:, : labels.shape[1] // 3] = 1
            truth, made = (torch.from_numpy(scheme.indices(ids).astype(np.int64)) for ids in (labels, found))
            matrix += confusion_matrix(truth, made, len(scheme.classes)).numpy()
            if maps:
                (folder / "maps").mkdir(exist_ok=True)
                place = {"crs": CRS.from_epsg(32632), "transform": Affine(10, 0, row.x_min, 0, -10, row.y_max)}
                write_tile(folder / "maps" / f"{row.tile}.tif", found, LULC, **place)
        content = scores(matrix, scheme.names) | {
            "tiles": len(dataset.in_split("test")), "split": "test", "split_sha256": dataset.info.split["sha256"],
            "dataset": dataset.info.name, "landcover_scheme": scheme.name,
        }  # fmt: skip
        (folder / "scores.json").write_text(json.dumps(content))
        return folder

    return make
