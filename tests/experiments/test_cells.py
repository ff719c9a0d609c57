"""Cells: run once, found again, resumed, and honest about what they were trained with."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.cells.cell import Cell, Question, Record, World
from experiments.cells.results import write_results
from experiments.cells.runner import Workshop
from experiments.cells.statistics import mean_and_spread, paired_difference
from experiments.cells.tables import difference, table

TINY = Cell(
    World(scenes=3, tile_size=64, scene_size=64),
    {"steps": 2, "batch_size": 2, "lr": 1e-3, "seed": 1, "loss.adversarial": 0.0, "model": "pix2pix",
     "generator.base_width": 4, "generator.depth": 2},
)  # fmt: skip
VAL, TEST = Question("val"), Question("test", ("s1",))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("cells"), workers=0)


@pytest.fixture(scope="module")
def record(workshop):
    (found,) = workshop.run([TINY], [VAL])
    return found


def test_a_cell_is_trained_and_scored(record):
    assert 5 < record.scores[str(VAL)]["psnr"] < 40
    assert record.config["steps"] == 2
    assert record.parameters > 1000


def test_a_finished_cell_is_not_run_again(workshop, record, monkeypatch):
    monkeypatch.setattr(Workshop, "_make_here", lambda *_: pytest.fail("the cell was run again"))
    assert workshop.run([TINY, TINY], [VAL]) == [record, record]


def test_another_question_scores_the_weights_that_are_there(workshop, record, monkeypatch):
    monkeypatch.setattr("experiments.cells.work._train", lambda *_: pytest.fail("the cell was trained again"))
    (again,) = workshop.run([TINY], [VAL, TEST])
    assert again.scores[str(VAL)] == record.scores[str(VAL)]
    assert str(TEST) in again.scores


def test_a_cell_in_a_process_of_its_own_gives_the_same_scores(workshop, record, tmp_path):
    apart = Workshop(tmp_path, workers=1)
    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / TINY.world.name).symlink_to(workshop.dataset(TINY.world))
    (found,) = apart.run([TINY], [VAL])
    assert found.scores[str(VAL)]["psnr"] == pytest.approx(record.scores[str(VAL)]["psnr"], abs=1e-3)


def test_other_options_are_another_cell():
    assert TINY.key == TINY.with_(lr=1e-3).key
    assert TINY.key != TINY.with_(lr=2e-3).key
    assert TINY.key != dataclasses.replace(TINY, world=World(seed=1)).key


def test_a_record_no_longer_counts_where_a_default_has_changed(record):
    assert record.is_current()
    assert not dataclasses.replace(record, config={**record.config, "optimizer.beta1": 0.123}).is_current()


def test_results_of_another_place_count_as_done(record, tmp_path):
    write_results(tmp_path / "results.json", {"experiment": "test"}, [record, record])
    content = json.loads((tmp_path / "results.json").read_text())
    assert len(content["cells"]) == 1
    elsewhere = Workshop(tmp_path / "elsewhere", workers=0)
    assert elsewhere.take_over(content["cells"]) == 1
    assert elsewhere.finished(TINY, [VAL]) == Record(**content["cells"][0])


def test_a_cell_that_cannot_be_trained_is_refused_with_its_reason(workshop):
    with pytest.raises(Exception, match=r"--lr.*number above 0"):
        workshop.run([TINY.with_(lr=-1.0)], [VAL])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=20), st.integers(0, 100))
def test_paired_differences_agree_with_scipy(first, seed):
    second = np.random.default_rng(seed).normal(size=len(first))
    found, wanted = paired_difference(first, second), stats.ttest_rel(first, second)
    interval = wanted.confidence_interval(0.95)
    assert found.p_value == pytest.approx(wanted.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-9)


def test_one_pair_has_no_interval():
    found = paired_difference([2.0], [1.5])
    assert found.mean == 0.5
    assert math.isnan(found.low)
    assert not found.is_clear
    assert math.isnan(mean_and_spread([1.0])[1])


def test_tables_are_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert difference(paired_difference([1.0, 2.0], [0.5, 1.5]), 2) == "+0.50 (+0.50 … +0.50)"
