"""The comparison of generators, end to end on the toy preset."""

import json
import sys

import pytest

from experiments.table1_generators import __main__ as table1


@pytest.mark.slow
def test_the_toy_comparison_gives_plausible_numbers_and_repeats_no_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table1", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    table1.main()
    folder = tmp_path / "toy" / "table1_generators"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    times = results["step_times"]
    assert times["spade"] > times["rs_spade"] > times["pix2pix"] * 0.7
    for cell in results["cells"]:
        for scores in cell["scores"].values():
            assert 5 < scores["psnr"] < 40
            assert -1 < scores["ssim"] < 1
            assert 0 < scores["sam_rad"] < 1.6
    assert "rs_spade − pix2pix" in text
    assert "| with | 6 |" in text
    capsys.readouterr()
    table1.main()  # all cells are there
    assert "to go" not in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_text() == text
