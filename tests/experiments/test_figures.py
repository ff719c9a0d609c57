"""The figures, end to end on the toy preset; what their measures say of images that are known."""

import json
import sys

import numpy as np
import pytest

from experiments.cells.cell import Record, effective
from experiments.cells.runner import Workshop
from experiments.figures import __main__ as figures
from experiments.figures.contrast import summary
from experiments.figures.measures import (
    MEASURES,
    class_pairs,
    gradients,
    jeffries_matusita,
    local_contrast,
    tile_measures,
)
from experiments.table1_generators.plan import PRESETS, models

SEEN = np.ones((40, 40), bool)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some seconds of arithmetic; longer on a machine with other things to do
def test_the_toy_figures_are_drawn_and_their_numbers_plausible(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["figures", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    assert figures.main() == 0
    folder = tmp_path / "toy" / "figures"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    contrast = results["contrast"]
    assert contrast.keys() <= MEASURES.keys()
    for kind in ("real", "synthetic", "class_mean", "oracle"):
        for name in ("contrast", "contrast_weak", "gradient"):
            assert 0 < contrast[name][kind]["mean"] < 0.5
        assert 0 <= contrast["jm"][kind]["mean"] <= 2
    # Without texture there is no gradient inside a class, and nothing in the way of telling classes apart.
    assert contrast["gradient_inside"]["class_mean"]["mean"] < 1e-6
    assert contrast["jm"]["class_mean"]["mean"] > contrast["jm"]["real"]["mean"]
    assert contrast["contrast_weak"]["real"]["mean"] < contrast["contrast"]["real"]["mean"]
    assert results["run"]["unseen"]
    assert all(0 < results["radar"][name] < 1 for name in ("db_middle_half", "power_middle_half"))
    assert results["radar"]["grain_averaged_db"] < results["radar"]["grain_db"]
    for name in ("terrain", "radar", "pair", "synthetic", "contrast"):
        assert f"]({name}.png)" in text
        assert 5_000 < (folder / f"{name}.png").stat().st_size < 600_000
    assert "one scene cannot tell" in text  # the toy's test split is one scene
    capsys.readouterr()
    assert figures.main() == 0  # the training is there
    assert "to go" not in capsys.readouterr().out
    assert json.loads((folder / "results.json").read_text())["by_tile"] == results["by_tile"]


def test_the_longest_training_of_rs_spade_whose_weights_are_here_is_taken(tmp_path):
    workshop, known = Workshop(tmp_path), models(PRESETS["toy"])
    cells = {
        name: known[model].with_(lr=1e-3, seed=seed, steps=steps)
        for name, model, seed, steps in (
            ("short", "rs_spade", 0, 5), ("long", "rs_spade", 1, 9), ("other", "pix2pix", 0, 20), ("away", "rs_spade", 0, 30),
        )
    }  # fmt: skip
    for name, cell in cells.items():
        now = effective(cell.config(tmp_path, tmp_path))
        made = Record(**cell.to_json(), config=now, parameters=1, machine="", date="", commit="", seconds=1.0)
        workshop.folder(cell).mkdir(parents=True)
        made.write(workshop.folder(cell) / "record.json")
        if name != "away":
            workshop.weights(cell).mkdir(parents=True)
    assert figures.trained_cell(workshop, "toy") == cells["long"]


def test_a_run_without_its_data_and_a_dataset_without_relief_are_refused(make_dataset, tmp_path, monkeypatch, capsys):
    run, flat = tmp_path / "run", make_dataset(tmp_path / "flat", sources=("S2", "S1", "LULC"))
    (run / "generator").mkdir(parents=True)
    (run / "generator" / "config.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["figures", "--out", str(tmp_path), "--run", str(run)])
    with pytest.raises(SystemExit):
        figures.main()
    assert "--run and --data belong together" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--data", str(flat.path)])
    assert figures.main() == 2
    err = capsys.readouterr().err
    assert "expected a dataset with S2, S1, LULC and DEM, found none of DEM" in err
    assert err.count("\n") == 1


def test_contrast_and_gradient_of_stripes_are_those_of_stripes():
    stripes = np.tile(np.where(np.arange(40) % 2, 0.6, 0.4), (1, 40, 1))
    assert local_contrast(stripes, SEEN) == pytest.approx(0.1, abs=0.001)
    ramp = np.tile(np.arange(40) * 0.01, (1, 40, 1))
    assert gradients(ramp, SEEN) == pytest.approx(0.01)
    holed = SEEN.copy()
    holed[20, 20] = False
    assert np.isnan(local_contrast(stripes, holed)).sum() == 81  # every window that holds the pixel
    assert np.isnan(gradients(ramp, holed)).sum() == 9


def test_classes_are_as_separable_as_their_spectra_are_apart():
    rng = np.random.default_rng(0)
    cloud = rng.normal(0, 0.05, (4, 4000))
    apart = [jeffries_matusita(cloud, rng.normal(0, 0.05, (4, 4000)) + shift) for shift in (0.0, 0.05, 0.1, 1.0)]
    assert apart == sorted(apart)
    assert apart[0] == pytest.approx(0, abs=0.01)
    assert apart[3] == pytest.approx(2, abs=0.01)
    # Bhattacharyya distance of two normals with one covariance: Mahalanobis² / 8.
    wanted = 2 * (1 - np.exp(-4 * 0.05**2 / (0.05**2 + 0.005**2) / 8))
    assert apart[1] == pytest.approx(wanted, abs=0.02)


def test_classes_that_meet_are_neighbours_and_unlabelled_pixels_are_nobodys():
    classes = np.array([[1, 1, 2], [1, 255, 2], [3, 3, 3]], np.uint8)
    assert class_pairs(classes) == {(1, 2): 1, (1, 3): 1, (2, 3): 1}


def test_an_image_with_twice_the_contrast_has_twice_the_contrast():
    rng = np.random.default_rng(1)
    classes = np.where(np.arange(40) < 20, 1, 2).astype(np.uint8)[None].repeat(40, axis=0)
    texture = rng.normal(0, 0.02, (4, 40, 40)) + 0.05 * (classes == 2)
    images = {
        "real": 0.4 + texture,
        "synthetic": 0.4 + 2 * texture,
        "class_mean": 0.4 + 0.05 * (classes == 2)[None].repeat(4, 0),
    }
    found = tile_measures(images, SEEN, classes, [(1, 2)])
    for name in ("contrast", "contrast_weak", "gradient", "gradient_border", "gradient_inside", "distance", "inside"):
        assert found[name]["synthetic"] == pytest.approx(2 * found[name]["real"])
    assert found["jm"]["real"] < found["jm"]["synthetic"] < found["jm"]["class_mean"]  # sensor noise weighs less
    assert found["jm_weak"] == found["jm"]
    assert found["contrast_weak"]["real"] < found["contrast"]["real"]


def test_changes_are_paired_by_scene_and_not_by_tile(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d")
    tiles = [row.tile for row in dataset.rows]
    values = {
        tile: {"contrast": {"real": 1.0 + n % 2, "synthetic": 1.1 + n % 2 + 0.01 * (n // 2)}}
        for n, tile in enumerate(tiles)
    }
    own = summary(dataset, values)["contrast"]
    assert own["tiles"] == len(tiles) == 8
    assert own["synthetic"]["scenes"] == 4
    assert own["synthetic"]["change"] == pytest.approx((0.1 + 0.015) / 1.5)
    assert own["synthetic"]["low"] > 0
    one = summary(dataset, {tiles[0]: values[tiles[0]]})["contrast"]["synthetic"]
    assert one["low"] is None
