"""The comparison of generators, end to end on the toy preset."""

import json
import sys

import pytest

from experiments.table1_generators import __main__ as table1
from experiments.table1_generators.plan import RIMMED, TEST


@pytest.mark.slow
@pytest.mark.timeout(900)  # a quarter of a minute of arithmetic; longer on a machine with other things to do
def test_the_toy_comparison_gives_plausible_numbers_and_repeats_no_cell(tmp_path, monkeypatch, capsys):
    # Memory is measured in processes of its own, which has a test of its own.
    monkeypatch.setattr("experiments.table1_generators.costs.peak_memory", lambda *_: 12.0)
    monkeypatch.setattr(sys, "argv", ["table1", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    table1.main()
    folder = tmp_path / "toy" / "table1_generators"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    times = results["step_times"]
    assert times["spade"] > times["rs_spade"] > times["pix2pix"] * 0.7
    costs = results["image_costs"]
    assert 1 < costs["spade"]["seconds"] / costs["pix2pix"]["seconds"] < 1000
    answers = {c["options"]["answer"]: c["scores"] for c in results["cells"] if c.get("trains") == "answer"}
    assert answers["oracle"][str(TEST)]["psnr"] > answers["class_mean"][str(TEST)]["psnr"] + 3
    compared = [c["scores"] for c in results["cells"] if str(RIMMED) in c["scores"]]
    assert len(compared) >= 8  # four models, two seeds
    assert all(scores[str(TEST)]["psnr"] != scores[str(RIMMED)]["psnr"] for scores in compared)
    for cell in results["cells"]:
        for scores in cell["scores"].values():
            assert 5 < scores["psnr"] < 40
            assert -1 < scores["ssim"] < 1
            assert 0 < scores["sam_rad"] < 1.6
    assert "rs_spade − pix2pix" in text
    assert "| class | share of the pixels | rs_spade |" in text
    assert "| with | 6 |" in text
    assert "## Equal steps, spade (test split)" in text
    assert "## Equal cost, edges" in text
    assert "| RS-SPADE | 23.14 | 0.84 | 0.19 | the paper's |" in text
    assert "*class-mean image*" in text
    assert "![test tiles" in text
    assert 10_000 < (folder / "tiles.png").stat().st_size < 600_000
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--part", "rates"])
    table1.main()  # all cells are there, and in the tables, whatever is asked for
    assert "to go" not in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_text() == text
    away = ["table1", "--preset", "toy", "--out", str(tmp_path / "away"), "--reuse", str(folder / "results.json")]
    monkeypatch.setattr(sys, "argv", away)
    table1.main()  # known by their records alone: the same tables, and a word in place of the figure
    shown = capsys.readouterr().out
    assert "to go" not in shown
    assert "tiles.png: not drawn, the weights of rs_spade, pix2pix, control, spade are not in" in shown
    again = (tmp_path / "away" / "toy" / "table1_generators" / "RESULTS.md").read_text()
    assert again == text[: text.index("\n## The same tiles")]
    monkeypatch.setattr(sys, "argv", [*away, "--results", str(folder)])
    table1.main()  # the picture that was drawn where the weights were stands
    assert (folder / "RESULTS.md").read_text() == text
