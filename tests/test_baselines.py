"""The answers that need no network, on small datasets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from torch.utils.data import DataLoader

from rsspade.baselines import ClassMeans, class_means, copy_of_input
from rsspade.data.geotiff import write_tile
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import Sample, TileDataset
from rsspade.errors import InputError
from rsspade.metrics import ImageScores

DatasetMaker = Callable[..., DatasetFolder]


def rewrite(data: DatasetFolder, name: str, tile: str, values: np.ndarray) -> None:
    path = data.tile_path(name, tile)
    with rasterio.open(path) as src:
        crs, transform = src.crs, src.transform
    write_tile(path, values, data.source(name), crs=crs, transform=transform)


def batch_of(dataset: TileDataset) -> Sample:
    (batch,) = DataLoader(dataset, batch_size=len(dataset))
    return batch


def reference(data: DatasetFolder) -> dict[int, np.ndarray]:
    """Class -> mean spectrum of its clear pixels in the train split, from the files; 255 -> of all of them."""
    spectra, ids = [], []
    for row in data.in_split("train"):
        optical, landcover = data.read("s2", row.tile), data.read("lulc", row.tile)[0]
        clear = np.isfinite(optical).all(axis=0)
        spectra.append(optical[:, clear].astype(np.float64))
        ids.append(landcover[clear])
    every, classes = np.concatenate(spectra, axis=1), np.concatenate(ids)
    means = {int(c): every[:, classes == c].mean(axis=1) for c in np.unique(classes)}
    return means | {255: every.mean(axis=1)}


def test_each_class_gets_the_mean_of_its_clear_pixels_in_the_train_split(make_dataset: DatasetMaker, tmp_path: Path):
    data = make_dataset(tmp_path / "d", sources=("S2", "LULC"))
    first = data.in_split("train")[0].tile
    optical, landcover = data.read("s2", first).copy(), data.read("lulc", first).copy()
    optical[1, :20] = np.nan
    landcover[0, :, :9] = 255
    rewrite(data, "s2", first, optical)
    rewrite(data, "lulc", first, landcover)
    means = class_means(data)
    expected = reference(data)
    assert len(expected) == 5
    for number, spectrum in expected.items():
        np.testing.assert_allclose(means.spectra[number].numpy(), spectrum, atol=1e-6)
    np.testing.assert_allclose(means.spectra[8].numpy(), expected[255], atol=1e-6)  # no snow in the train split
    assert means.pixels[8] == means.pixels[255] == 0
    assert means.pixels.sum() == sum(
        (np.isfinite(data.read("s2", r.tile)).all(axis=0) & (data.read("lulc", r.tile)[0] != 255)).sum()
        for r in data.in_split("train")
    )


def test_other_splits_do_not_leak_into_the_means(make_dataset: DatasetMaker, tmp_path: Path):
    data = make_dataset(tmp_path / "d", sources=("S2", "LULC"))
    before = class_means(data)
    for split in ("val", "test"):
        for row in data.in_split(split):
            rewrite(data, "s2", row.tile, data.read("s2", row.tile) + 0.5)
    assert torch.equal(class_means(data).spectra, before.spectra)
    row = data.in_split("train")[0]
    rewrite(data, "s2", row.tile, data.read("s2", row.tile) + 0.5)
    assert not torch.equal(class_means(data).spectra, before.spectra)


def test_the_image_paints_each_pixel_with_its_class():
    spectra = torch.arange(256.0)[:, None] + torch.tensor([0.0, 0.25])
    means = ClassMeans(spectra, torch.ones(256, dtype=torch.int64))
    ids = torch.tensor([[[[0, 3], [255, 7]]]], dtype=torch.uint8)
    assert means.image(ids).tolist() == [[[[0, 3], [255, 7]], [[0.25, 3.25], [255.25, 7.25]]]]
    with pytest.raises(ValueError, match=r"expected ids uint8 \(B, 1, H, W\), found torch.int64"):
        means.image(ids.long())


def test_clouded_pixels_do_not_colour_the_means_and_the_copy_keeps_its_clouds(
    make_dataset: DatasetMaker, tmp_path: Path
):
    data = make_dataset(tmp_path / "d", sources=("S2", "LULC"), clouds=True)
    batch = batch_of(TileDataset(data, split="test", sources=["lulc"], with_cloudy=True))
    copy, painted = copy_of_input(batch), class_means(data).predict(batch)
    for n, row in enumerate(data.in_split("test")):
        np.testing.assert_array_equal(copy.image[n].numpy(), data.read("s2_cloudy", row.tile))
    assert copy.valid.all()  # S2 is clear below the clouds, so the clouded pixels are scored too
    assert painted.image.max() < 0.5  # the clouds' 0.7 reached no mean
    scores = {}
    for name, answer in (("copy", copy), ("painted", painted), ("truth", copy._replace(image=batch.optical))):
        total = ImageScores(data.optical_bands)
        total.add(answer.image, batch.optical, valid=answer.valid, tile=batch.tile)
        scores[name] = total.compute()["psnr"]
    assert scores["copy"] < scores["painted"] < scores["truth"] == 100


def test_a_tile_without_a_clouded_image_is_not_scored(make_dataset: DatasetMaker, tmp_path: Path):
    data = make_dataset(tmp_path / "d", sources=("S2", "LULC"), clouds=True)
    missing = data.in_split("test")[0].tile
    data.tile_path("s2_cloudy", missing).unlink()
    batch = batch_of(TileDataset(data, split="test", sources=["lulc"], with_cloudy=True))
    assert copy_of_input(batch).valid.flatten(1).any(dim=1).tolist() == [False, True]
    plain = batch_of(TileDataset(data, split="test", sources=["lulc"]))
    with pytest.raises(ValueError, match="with_cloudy=True"):
        copy_of_input(plain)


def test_a_train_split_without_labels_is_refused(make_dataset: DatasetMaker, tmp_path: Path):
    data = make_dataset(tmp_path / "d", sources=("S2", "LULC"))
    for row in data.in_split("train"):
        rewrite(data, "lulc", row.tile, np.full_like(data.read("lulc", row.tile), 255))
    with pytest.raises(InputError, match="labelled pixels"):
        class_means(data)
    bare = make_dataset(tmp_path / "bare", sources=("S2", "S1"))
    with pytest.raises(InputError, match="a dataset with the source lulc, found s1"):
        class_means(bare)
