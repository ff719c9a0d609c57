"""Real against real and synthetic, end to end on the toy preset; what its report computes."""

import json
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments.cells.cell import Cell
from experiments.table1_generators import plan as table1
from experiments.table3_augmentation import __main__ as table3
from experiments.table3_augmentation.plan import CONTRASTS, PARTS, PRESETS, arms
from experiments.table3_augmentation.report import steps_to_reach

# So small a world: half of its tiles may lack a class.
pytestmark = pytest.mark.filterwarnings("ignore:.*no labelled pixel among the:rsspade.errors.RSSpadeWarning")


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of arithmetic, in 38 trainings; longer on a machine with other things to do
def test_the_toy_comparison_gives_plausible_numbers_and_repeats_no_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table3", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    table3.main()
    folder = tmp_path / "toy" / "table3_augmentation"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    kinds = {"generator": 0, "segmentation": 0, "forest": 0}
    for cell in results["cells"]:
        kinds[cell.get("trains", "generator")] += 1
        for scores in cell["scores"].values():
            if "miou" in scores:
                assert 0 < scores["miou"] < 1
                assert 0 < scores["accuracy"] < 1
        if "curve" in cell:
            assert cell["curve"][-1]["step"] == cell["options"]["steps"]
            assert len(cell["curve"]) >= 2
    assert kinds == {"generator": 2 * 2 + 1, "segmentation": 2 * 7 + 1 + 2 + 3 + 2 + 3 + 1 + 2 + 2, "forest": 2}
    means = {
        c["scores"][next(iter(c["scores"]))]["miou"] for c in results["cells"] if c.get("trains") == "segmentation"
    }
    assert len(means) > 13  # other data, other networks
    fitted = [c["scores"][next(iter(c["scores"]))]["miou"] for c in results["cells"] if c.get("trains") == "forest"]
    assert min(fitted) > 0.2  # a forest learns from a few hundred pixels already
    assert "**Interim**" not in text
    assert all(part in text for part in ("## Does it help?", "## At equal epochs", "p, of 3 (Holm)"))
    assert "Ahead by at least 0.05 on both with" in text.replace("mIoU ", "")
    assert "(rare)" in text
    assert all((folder / name).stat().st_size > 10_000 for name in ("curves.png", "maps.png", "images.png"))
    capsys.readouterr()
    table3.main()  # all cells are there
    assert "to go" not in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_text() == text
    elsewhere = (
        f"table3 --preset toy --workers 0 --out {tmp_path}/elsewhere --reuse {folder}/results.json --results {folder}"
    )
    monkeypatch.setattr(sys, "argv", elsewhere.split())
    table3.main()  # on a machine without images and weights, what was measured and drawn before stays
    assert "to go" not in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_text() == text


def test_real_tiles_alone_at_the_end_is_all_that_differs_from_mix():
    preset = PRESETS["cpu"]
    core, ends = arms(preset, 100, "core"), arms(preset, 100, "until")
    for regime in ("all", "sources"):
        mixed, until = core[f"mix {regime}"], ends[f"until {regime}"]
        assert dict(until.options) == {**mixed.options, "synthetic_until": 0.7}
        assert (until.world, until.synthetic) == (mixed.world, mixed.synthetic)


def test_scenes_without_clear_images_are_seen_by_no_generator_and_no_network_but_as_synthetic_ones():
    cells = arms(PRESETS["cpu"], 103, "scenes")
    maker, mixed = cells["generator scenes"], cells["mix scenes"]
    assert mixed.synthetic.generator == maker
    assert (maker.world.images, maker.world.images_seed, maker.world.images_by) == (0.03, 103, "scene")
    assert {**cells["true scenes"].options, "ratio": 1.0, "parents": "all"} == mixed.options
    assert (mixed.options["labels"], mixed.options["labels_by"], mixed.options["seed"]) == (0.03, "scene", 103)


def test_the_kind_of_images_is_all_that_differs_from_mix():
    mixed, others = arms(PRESETS["cpu"], 100, "core")["mix all"], arms(PRESETS["cpu"], 100, "images")
    plain, sharper = others["plain all"], others["sharper all"]
    assert mixed.options == plain.options == sharper.options
    assert mixed.synthetic == replace(plain.synthetic, residuals=256)
    assert plain.synthetic.residuals == sharper.synthetic.residuals == 0
    assert sharper.synthetic.generator == plain.synthetic.generator.with_(loss__adversarial=0.02)


def test_the_core_is_true_and_mix_in_three_regimes_with_ten_pairs():
    preset = PRESETS["cpu"]
    assert len(preset.seeds) == 10
    cells = arms(preset, 100, "core")
    for regime, name in (("all", "true all"), ("few", "true few"), ("sources", "true few")):
        real, half, mixed = (cells[arm] for arm in (name, f"{name} half", f"mix {regime}"))
        assert mixed.options["steps"] == real.options["steps"]
        assert mixed.options["steps"] == 2 * half.options["steps"]  # 1:1: an epoch has twice the images
        same = real.options.keys() - {"steps"}
        assert all(mixed.options[option] == arm.options[option] for arm in (real, half) for option in same)
        assert real.synthetic is None is half.synthetic


def test_where_labels_are_few_the_generator_has_seen_no_other_tiles():
    cells = arms(PRESETS["cpu"], 103, "core")
    assert cells["generator all"].world == PRESETS["cpu"].world
    for name in ("mix few", "mix sources"):
        maker = cells[name].synthetic.generator
        assert maker == cells["generator few"]
        assert (maker.world.images, maker.world.images_seed) == (0.1, cells[name].options["seed"])
    assert cells["mix few"].options["parents"] == "labelled"
    assert cells["mix sources"].options["parents"] == "all"


@pytest.mark.parametrize("size", PRESETS)
def test_every_comparison_has_its_arms_and_every_cell_is_one_that_can_be_trained(size, tmp_path):
    preset = PRESETS[size]
    cells: dict[str, Cell] = {}
    for part in PARTS:
        cells |= arms(preset, preset.seeds[0], part)
    for contrast in CONTRASTS:
        shares = contrast.part == "labels" and contrast.first not in cells  # of another size
        assert shares or {contrast.first, contrast.second} <= cells.keys()
    for cell in cells.values():
        cell.config(tmp_path, tmp_path, tmp_path if cell.synthetic else None)
        assert Cell.from_json(json.loads(json.dumps(cell.to_json()))).key == cell.key


def test_steps_to_a_goal_lie_between_validations():
    curve = [{"step": 10, "miou": 0.2}, {"step": 20, "miou": 0.4}, {"step": 30, "miou": 0.3}]
    assert steps_to_reach(curve, 0.1) == 5
    assert steps_to_reach(curve, 0.3) == 15
    assert steps_to_reach(curve, 0.4) == 20
    assert math.isinf(steps_to_reach(curve, 0.41))


def test_a_generator_of_the_core_is_one_that_the_comparison_of_generators_trains():
    """Nobody trains it twice."""
    preset, other = PRESETS["cpu"], table1.PRESETS["cpu"]
    made = arms(preset, 100, "core")["generator all"]
    theirs = table1.models(other)["rs_spade"].with_(steps=other.steps, seed=other.seeds[0], lr=made.options["lr"])
    assert made.key == theirs.key


def test_the_first_seeds_alone_are_run_on_demand():
    asked = []
    workshop = SimpleNamespace(run_all=lambda requests: asked.extend(cell for cell, _ in requests))
    table3.run(workshop, PRESETS["cpu"], ["core"], seeds=2)
    assert [cell.options["seed"] for cell in asked] == sorted(cell.options["seed"] for cell in asked)
    assert {cell.options["seed"] for cell in asked} == {100, 101}
