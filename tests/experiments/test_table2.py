"""The comparison of sources, end to end on the toy preset; what its tables conclude from records that are known."""

import json
import sys
from pathlib import Path

import pytest

from experiments.cells.cell import Record
from experiments.table1_generators import plan as table1
from experiments.table2_sources import __main__ as table2
from experiments.table2_sources.plan import PRESETS, SUBSETS, alone, questions
from experiments.table2_sources.report import PAPER, Found, write_report
from experiments.table2_sources.towns import towns


@pytest.mark.slow
@pytest.mark.timeout(900)  # a quarter of a minute of arithmetic; longer on a machine with other things to do
def test_the_toy_comparison_scores_all_subsets_and_repeats_no_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table2", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    table2.main()
    folder = tmp_path / "toy" / "table2_sources"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    trained = [cell for cell in results["cells"] if "trains" not in cell]
    assert len(trained) == 2 * (7 + 2)
    for cell in trained:
        asked = 7 if cell["options"]["source_dropout"] else 1
        assert len(cell["scores"]) == 2 * asked  # test split and fresh world
        assert all(5 < scores["psnr"] < 40 for scores in cell["scores"].values())
    one = [cell for cell in trained if cell["options"]["source_dropout"]]
    assert [cell["config"]["generator.norm"] for cell in one] == ["group"] * 2 + ["batch"] * 2
    assert len({scores["psnr"] for cell in one[::2] for scores in cell["scores"].values()}) == 2 * 2 * 7  # all differ
    assert {cell["options"]["answer"] for cell in results["cells"] if "trains" in cell} == {"class_mean", "oracle"}
    for said in ("| s1 + lulc + dem |", "*oracle*", "Of the 15 pairs of subsets", "![test tiles"):
        assert said in text
    assert 10_000 < (folder / "tiles.png").stat().st_size < 600_000
    capsys.readouterr()
    table2.main()  # all cells are there
    assert "to go" not in capsys.readouterr().out
    away = ["table2", "--preset", "toy", "--out", str(tmp_path / "away"), "--reuse", str(folder / "results.json")]
    monkeypatch.setattr(sys, "argv", away)
    table2.main()  # known by their records alone: the same tables, and a word in place of the figure
    assert "tiles.png: not drawn, the weights of one for all" in capsys.readouterr().out
    again = (tmp_path / "away" / "toy" / "table2_sources" / "RESULTS.md").read_text()
    assert again == text[: text.index("\n## The same tiles")]


def record(subset, psnr, *, town=0.1, seed=0, fresh=0.0):
    """A model that is as good as it says, in towns and elsewhere."""
    classes = {
        "built": {"psnr": 20.0, "rmse": town, "pixels": 100},
        "crops": {"psnr": 20.0, "rmse": 0.1, "pixels": 900},
    }
    scores = {"psnr": psnr + 0.01 * seed, "ssim": 0.7, "sam_rad": 0.1, "per_class": classes}
    elsewhere = {**scores, "psnr": scores["psnr"] + fresh}
    asked = [questions(PRESETS["toy"], own) for own in ([subset] if subset else SUBSETS)]
    return Record(
        world={"scenes": 3}, options={"steps": 4}, config={}, parameters=1, machine="", date="", commit="", seconds=1.0,
        scores={str(question): found for pair in asked for question, found in zip(pair, (scores, elsewhere), strict=True)},
    )  # fmt: skip


def three(subset, psnr, **options):
    return {seed: record(subset, psnr, seed=seed, **options) for seed in range(3)}


def written(own, tmp_path, one=(), batch=()):
    ends = {name: record(SUBSETS[-1], psnr) for name, psnr in (("class_mean", 15.0), ("oracle", 30.0))}
    conclusions = {"preset": "toy", "date": "", "machine": ""}
    found = Found(own, dict(one), dict(batch))
    write_report(tmp_path / "r.md", conclusions, PRESETS["toy"], found, ends, figure=False)
    return (tmp_path / "r.md").read_text()


def test_the_papers_order_is_named_where_ours_is_another(tmp_path):
    same = {subset: three(subset, PAPER.get(subset, (17.0,))[0]) for subset in SUBSETS}
    found = written(same, tmp_path)
    assert (
        "Of the 15 pairs of subsets, 15 stand in the paper's order by their 95 % interval. The other way round: none."
        in found
    )
    found = written(same | {("s1",): three(("s1",), 21.0)}, tmp_path)
    assert "14 stand in the paper's order" in found
    assert (
        "The other way round: s1 against lulc (+0.23 (+0.23 … +0.23) dB). Not told apart with these seeds: none."
        in found
    )
    shaky = {seed: record(("s1",), psnr, seed=seed) for seed, psnr in enumerate((20.0, 20.7, 21.5))}
    found = written(same | {("s1",): shaky}, tmp_path)
    assert "The other way round: none. Not told apart with these seeds: s1 against lulc (-0.0" in found


def test_one_model_for_all_is_close_enough_down_to_half_a_decibel(tmp_path):
    own = {subset: three(subset, 21.0 if subset == ("dem",) else 20.4) for subset in SUBSETS}
    one, batch = three((), 20.4, fresh=0.2), three((), 20.3)
    lines = written(own, tmp_path, one, batch).splitlines()
    beside = "| -0.70 (-0.70 … -0.70) | -0.70 (-0.70 … -0.70) |"
    assert f"| dem | -0.40 (-0.40 … -0.40) | yes | -0.60 (-0.60 … -0.60) | no {beside}" in lines
    assert (
        "| s1 | +0.20 (+0.20 … +0.20) | yes | +0.00 (+0.00 … +0.00) | yes | -0.10 (-0.10 … -0.10) | -0.10 (-0.10 … -0.10) |"
        in lines
    )
    assert "| – | – | – | – | -0.10 (-0.10 … -0.10) |" in written(own, tmp_path, batch=batch)
    assert "One model for all" not in written(own, tmp_path)


def test_noise_in_towns_is_found_where_there_is_some_and_only_there():
    town = {("lulc",): 0.1, ("s1", "lulc"): 0.11, ("lulc", "dem"): 0.1, ("s1", "lulc", "dem"): 0.09}
    own = {
        subset: {seed: record(subset, 20.0, town=rmse + 1e-4 * seed * (subset != ("lulc",))) for seed in range(3)}
        for subset, rmse in town.items()
    }
    said = {line.split("|")[1].strip(): line for line in towns(own).splitlines() if line.startswith("|")}
    assert "worse, as claimed" in said["radar to land cover"]
    assert "no clear difference" in said["relief to land cover"]
    assert "better, against the claim" in said["radar and relief to land cover"]
    assert towns({("lulc",): own["lulc",]}) == ""
    assert "too few seeds" in towns({subset: {0: records[0]} for subset, records in own.items()})


def test_the_cells_with_all_sources_are_those_of_table_1_at_its_best_rate():
    results = json.loads((Path(table1.__file__).parent / "results.json").read_text())
    rate, preset = results["rates"]["rs_spade"], table1.PRESETS["cpu"]
    theirs = table1.models(preset)["rs_spade"].with_(lr=rate, steps=preset.steps, seed=100)
    assert alone(PRESETS["cpu"], SUBSETS[-1]).with_(seed=100).key == theirs.key
