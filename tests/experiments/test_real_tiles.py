"""Generators on a few real tiles, end to end on the toy preset, and what its report computes."""

import json
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy import stats

from experiments.cells.cell import Cell
from experiments.cells.statistics import block_bootstrap
from experiments.cells.tiles import Tiles
from experiments.real_tiles import __main__ as real_tiles
from experiments.real_tiles.plan import CLASS_MEAN, COMPARISONS, PRESETS, RATES, arms
from experiments.real_tiles.report import compare
from experiments.table1_generators.plan import models

ALL = ("s1", "lulc", "dem")


def call(monkeypatch, folder, out, *words):
    words = ["--data", str(folder), "--preset", "toy", "--out", str(out), "--workers", "0", *words]
    monkeypatch.setattr(sys, "argv", ["real_tiles", *words])
    return real_tiles.main()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no validation")
def test_the_toy_comparison_gives_plausible_numbers_and_repeats_no_cell(
    terramesh_folder, tmp_path, monkeypatch, capsys
):
    assert call(monkeypatch, terramesh_folder, tmp_path, "--seeds", "1") == 0
    folder = tmp_path / "toy" / "real_tiles"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    kinds = [
        (cell.get("trains", "generator"), "begins_with" in cell, "content" in cell["world"])
        for cell in results["cells"]
    ]
    folds = 2 + 2
    assert kinds.count(("generator", False, True)) == kinds.count(("generator", True, True)) == 2 * folds
    assert kinds.count(("generator", False, False)) == 2
    assert kinds.count(("answer", False, True)) == folds
    psnr = {c["trains"] if "trains" in c else c["options"]["model"]: [] for c in results["cells"]}
    for cell in results["cells"]:
        for question, scores in cell["scores"].items():
            assert 5 < scores["psnr"] < 40
            if question.endswith("by tile"):
                assert len(scores["by_tile"]) == (16 if "leave_out" in question else 8)
                psnr[cell.get("trains") or cell["options"]["model"]].append(scores["psnr"])
    assert np.mean(psnr["answer"]) > np.mean(psnr["pix2pix"])  # six steps are too few to beat the class mean
    assert results["tiles"] == ["10U_2R_1_1", "11U_2R_1_1"]
    assert all(str(tmp_path) not in part for part in (text, json.dumps(results)))
    assert text.count("rs_spade − pix2pix") == 2 * (1 + 2)  # in each design over all and of each tile
    assert text.count("| 10U_2R_1_1 |") == 2 * (5 + len(COMPARISONS))
    capsys.readouterr()
    assert call(monkeypatch, terramesh_folder, tmp_path, "--seeds", "1") == 0  # all cells are there
    assert "to go" not in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_text() == text
    elsewhere = tmp_path / "elsewhere"
    words = ("--seeds", "1", "--reuse", str(folder / "results.json"))
    assert call(monkeypatch, terramesh_folder, elsewhere, *words) == 0
    assert "to go" not in capsys.readouterr().out


def test_the_generators_that_others_begin_with_are_those_of_the_first_table():
    preset = PRESETS["cpu"]
    fold = Tiles("0123456789ab", "blocks", "left", preset.crop, preset.block)
    made = arms(preset, fold, 100, ALL)
    for name, cell in models(preset.world).items():
        if name in RATES:
            shared = cell.with_(lr=RATES[name], steps=2000, seed=100)
            assert made[f"{name} from the world"].begins_with.key == shared.key
    assert len(preset.seeds) >= 3
    assert {arm for pair in COMPARISONS for arm in pair} == {*made, CLASS_MEAN}


@pytest.mark.parametrize("size", PRESETS)
@pytest.mark.parametrize("sources", [ALL, ("s1",)])
def test_arms_of_a_seed_differ_in_model_and_first_weights_alone_and_can_be_trained(size, sources, tmp_path):
    preset = PRESETS[size]
    made = arms(preset, Tiles("0123456789ab", "leave_out", "a", preset.crop, preset.block), 100, sources)
    for cell in made.values():
        config = cell.config(tmp_path, tmp_path)
        assert (config.sources, config.loss.adversarial, config.loader.crop_size) == (sources, 0.0, preset.crop)
        assert Cell.from_json(json.loads(json.dumps(cell.to_json()))).key == cell.key
    for name in RATES:
        plain, tuned = made[name], made[f"{name} from the world"]
        assert plain.options == tuned.options
        assert plain.begins_with is None
    options = [{k: v for k, v in cell.options.items() if k not in ("model", "lr")} for cell in made.values()]
    assert all(own == options[0] for own in options)


def test_a_difference_is_taken_block_by_block_and_an_answer_without_a_seed_counts_for_every_seed():
    blocks = {"a__000_000": 20.0, "a__000_032": 22.0, "b__000_000": 30.0}
    model = {seed: {block: {"psnr": value + seed} for block, value in blocks.items()} for seed in (1, 2)}
    mean = {0: {block: {"psnr": value} for block, value in reversed(blocks.items())}}
    whole, seeds = compare({"one": model, "two": mean}, "one", "two", "psnr")
    assert (whole.mean, whole.low, whole.high, whole.pairs) == (1.5, 1.0, 2.0, 3)  # seeds are drawn too
    assert seeds == [1.0, 2.0]
    mean[0]["a__000_032"] = {"psnr": None}
    assert compare({"one": model, "two": mean}, "one", "two", "psnr")[0].pairs == 2


def test_the_report_tells_every_tile_with_its_spread_over_seeds(tmp_path):
    blocks = {"a__000_000": 20.0, "a__000_032": 22.0, "b__000_000": 30.0}

    def scored(*seeds):
        return {
            seed: {block: {"psnr": v + seed, "ssim": 0.5, "sam_rad": None} for block, v in blocks.items()}
            for seed in seeds
        }

    generators = sorted({arm for pair in COMPARISONS for arm in pair} - {CLASS_MEAN})
    found = {CLASS_MEAN: scored(0), **{arm: scored(1, 2) for arm in generators}}
    conclusions = {
        "versions": {"torch": "2"}, "tiles": ["a", "b"], "preset": "toy", "sources": ["s1"], "content": "0", "tile_size": 64,
        "date": "2026-01-01", "machine": "one", "commit": "abc",
    }  # fmt: skip
    real_tiles.write_report(tmp_path / "RESULTS.md", conclusions, {"blocks": found})
    text = (tmp_path / "RESULTS.md").read_text()
    assert "Blocks: 3. Seeds: 2." in text
    assert f"| a | {CLASS_MEAN} | 21.00 | 0.5000 | – |" in text
    assert "| a | rs_spade | 22.50 ± 0.71 | 0.5000 ± 0.0000 | – |" in text
    assert "| rs_spade | 25.50 | 5.29 | 0.71 |" in text
    assert "| rs_spade − class mean | +1.50 (+1.00 … +2.00) | +1.00 … +2.00 |" in text


def test_the_interval_over_blocks_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    strata = ["a"] * 20 + ["b"] * 20
    shifts = np.repeat([-1.0, 2.0], 20)  # images differ: that is not what the interval is about
    found = [block_bootstrap(rng.normal(shifts, 0.5)[None], strata, draws=400, seed=n) for n in range(400)]
    held = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert 0.89 < held < 0.98
    expected = 2 * stats.norm.ppf(0.975) * 0.5 / math.sqrt(40)
    assert np.mean([one.high - one.low for one in found]) == pytest.approx(expected, rel=0.06)
    assert math.isnan(block_bootstrap(np.ones((3, 1)), ["a"]).low)


def test_what_all_blocks_of_a_training_share_widens_the_interval():
    rng = np.random.default_rng(0)
    alike = rng.normal(size=(8, 40)) * 0.1
    one, other = (block_bootstrap(alike + luck * rng.normal(size=(8, 1)), ["a"] * 40, draws=2000) for luck in (0, 1))
    assert other.high - other.low > 5 * (one.high - one.low)


def without(folder, *names):
    """Take files out of a copy."""
    for name in names:
        (folder / name).unlink()


def smaller(folder):
    """Every file of the first tile cut to 64 pixels."""
    for path in folder.rglob("10U*.tif"):
        with rasterio.open(path) as src:
            values, profile = src.read()[:, :64, :64], {**src.profile, "width": 64, "height": 64}
        with rasterio.open(path, "w", **profile) as out:
            out.write(values)


@pytest.mark.parametrize(
    ("damage", "words", "expected"),
    [
        (lambda f: shutil.rmtree(f), (), "expected TerraMesh as folders S2L2A, S1RTC or S1GRD, DEM, LULC"),
        (lambda f: shutil.rmtree(f / "S2L2A"), (), "expected the source s2 of every tile, found none for this one"),
        (lambda f: shutil.rmtree(f / "LULC"), ("--sources", "s1"), "expected the source lulc of every tile"),
        (lambda f: without(f, "DEM/10U_2R_1_1.tif"), (), "10U_2R_1_1.tif: expected the source dem of every tile"),
        (lambda f: without(f, *(f"{s}/10U_2R_1_1.tif" for s in ("S2L2A", "S1RTC", "LULC", "DEM"))), (),
         "expected two tiles or more, to leave one out, found only 11U_2R_1_1. Add tiles, or choose --part blocks"),
        (smaller, (), "expected a tile of at least 128 px, for crops of 64 px and blocks of 32 px with 16 px between"),
        (lambda f: None, ("--sources", "s1,lidar"), "expected a comma-separated subset of s1, lulc, dem"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_split_is_refused_in_one_line(
    terramesh_folder, tmp_path, monkeypatch, capsys, damage, words, expected
):
    folder = shutil.copytree(terramesh_folder, tmp_path / "tiles")
    damage(folder)
    assert call(monkeypatch, folder, tmp_path / "out", *words) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_real_tiles_are_taken_in_and_give_a_class_mean(tmp_path):
    root = os.environ.get("RSSPADE_REAL_DATA")
    if not root:
        pytest.skip("RSSPADE_REAL_DATA does not name the folder with the real tiles")
    from experiments.cells.runner import Workshop
    from experiments.real_tiles.plan import class_mean, folds, question
    from rsspade.data.readers import TerraMeshReader

    preset, workshop = PRESETS["cpu"], Workshop(tmp_path, workers=0)
    reader = TerraMeshReader(Path(root) / "terramesh")
    tiles = real_tiles.usable_tiles(reader, preset, ALL, ["leave_out", "blocks"])
    content = workshop.take_in(reader).path.name
    for design, count in (("leave_out", 16), ("blocks", 12)):
        fold = folds(preset, design, content, tiles)[0]
        asked = question(fold, ALL)
        (record,) = workshop.run([class_mean(fold)], [asked])
        scores = record.scores[str(asked)]
        assert len(scores["by_tile"]) == count
        assert 10 < scores["psnr"] < 35
