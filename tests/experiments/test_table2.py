"""The comparison of sources, end to end on the toy preset."""

import json
import sys

import pytest

from experiments.table2_sources import __main__ as table2


@pytest.mark.slow
def test_the_toy_comparison_scores_all_subsets_and_repeats_no_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["table2", "--preset", "toy", "--out", str(tmp_path), "--workers", "0"])
    table2.main()
    folder = tmp_path / "toy" / "table2_sources"
    results, text = json.loads((folder / "results.json").read_text()), (folder / "RESULTS.md").read_text()
    assert len(results["cells"]) == 2 * (7 + 1)
    for cell in results["cells"]:
        asked = 7 if cell["options"]["source_dropout"] else 1
        assert len(cell["scores"]) == asked
        assert all(5 < scores["psnr"] < 40 for scores in cell["scores"].values())
    one = next(cell for cell in results["cells"] if cell["options"]["source_dropout"])
    assert len({scores["psnr"] for scores in one["scores"].values()}) == 7  # each subset is another image
    assert "| s1 + lulc + dem |" in text
    capsys.readouterr()
    table2.main()  # all cells are there
    assert "to go" not in capsys.readouterr().out
