"""Cells: run once, found again, resumed, and honest about what they were trained with."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.cells.cell import GENERATIONS, Cell, Question, Record, Synthetic, World
from experiments.cells.machine import made, origin
from experiments.cells.results import write_results
from experiments.cells.runner import Workshop
from experiments.cells.statistics import detectable_difference, holm, mean_and_spread, paired_difference
from experiments.cells.tables import difference, table
from experiments.cells.trainings import is_trained
from rsspade.data.manifest import DatasetFolder
from rsspade.evaluation import evaluate_baselines
from rsspade.synthesis.residuals import RULE
from segmentation.labels import open_tiles
from segmentation.mixing import refuse_synthetic_set
from segmentation.parts import Data

TINY = Cell(
    World(scenes=3, tile_size=64, scene_size=64),
    {"steps": 2, "batch_size": 2, "lr": 1e-3, "seed": 1, "loss.adversarial": 0.0, "model": "pix2pix",
     "generator.base_width": 4, "generator.depth": 2},
)  # fmt: skip
# So small a world: half of its tiles may lack a class.
pytestmark = pytest.mark.filterwarnings("ignore:.*no labelled pixel among the:rsspade.errors.RSSpadeWarning")

VAL, TEST = Question("val"), Question("test", ("s1",))
MAPS = Question("test", ())
HALF = dataclasses.replace(TINY, world=World(scenes=4, tile_size=64, scene_size=128, images=0.5, images_seed=3))
SEGMENTER = Cell(
    HALF.world.whole,
    {"steps": 30, "eval_every": 15, "batch_size": 2, "lr": 1e-2, "seed": 3, "labels": 0.5, "network.base_width": 4,
     "network.depth": 2},
    "segmentation", Synthetic(HALF),
)  # fmt: skip


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


def test_the_same_cell_asked_twice_answers_both_questions(workshop, record):
    third = Question("val", ("s1",))
    first, second = workshop.run_all([(TINY, [VAL]), (TINY, [third])])
    assert first == second
    assert {str(VAL), str(third)} <= first.scores.keys()


def test_who_is_interrupted_while_it_is_scored_is_not_trained_again(workshop, tmp_path, monkeypatch):
    here = Workshop(tmp_path, workers=0)
    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / TINY.world.name).symlink_to(workshop.dataset(TINY.world))
    with monkeypatch.context() as patched:
        patched.setattr("experiments.cells.work.trainings.answerer", lambda *_: interrupt)
        with pytest.raises(KeyboardInterrupt):
            here.run([TINY], [VAL])
    monkeypatch.setattr("experiments.cells.work._train", lambda *_: pytest.fail("the cell was trained again"))
    (found,) = here.run([TINY], [VAL])
    assert found.scores[str(VAL)]["psnr"] > 5


def interrupt(*_):
    raise KeyboardInterrupt


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


def test_scores_that_two_experiments_asked_of_one_training_are_brought_together(record, tmp_path):
    elsewhere = Workshop(tmp_path, workers=0)
    first, second = (dataclasses.replace(record, scores={name: {"psnr": 1.0}}) for name in ("val", "test"))
    assert elsewhere.take_over([first.to_json(), second.to_json(), first.to_json()]) == 2
    assert Record.read(elsewhere.folder(TINY) / "record.json").scores == {**first.scores, **second.scores}


def test_scores_of_another_training_of_the_same_cell_are_left_out(record, tmp_path):
    elsewhere = Workshop(tmp_path, workers=0)
    other = dataclasses.replace(record, scores={"test": {"psnr": 1.0}}, seconds=record.seconds + 1)
    assert elsewhere.take_over([record.to_json(), other.to_json()]) == 1
    assert Record.read(elsewhere.folder(TINY) / "record.json").scores.keys() == record.scores.keys()


def test_what_another_program_is_at_work_on_comes_last(tmp_path, monkeypatch):
    workshop = Workshop(tmp_path, workers=1)
    monkeypatch.setattr(workshop, "dataset", lambda world: tmp_path)
    first, second, other = (TINY.with_(seed=seed) for seed in (1, 2, 3))
    resting = Cell(TINY.world, {"steps": 2}, "segmentation", Synthetic(other))
    made = []
    monkeypatch.setattr(workshop, "_make", lambda cell, *_: made.append(cell) or "")
    workshop.folder(first).mkdir(parents=True)
    workshop.folder(other).mkdir(parents=True)
    unfinished = pytest.raises(SystemExit, match="cells that did not finish")
    with FileLock(workshop.folder(first) / "lock"), FileLock(workshop.folder(other) / "lock"), unfinished:
        workshop.run([first, resting, second], [VAL])
    assert made == [second, first, resting]
    made.clear()
    with unfinished:
        workshop.run([first, resting, second], [VAL])
    assert made == [first, resting, second]


def test_results_say_what_they_were_made_with_and_from_which_trainings(record):
    later = dataclasses.replace(record, date="2999-01-02", commit="fffffff")
    found = made([later, dataclasses.replace(record, commit="0000000"), later])
    assert found["trainings"] == {"first": record.date, "last": "2999-01-02", "commits": ["0000000", "fffffff"]}
    assert torch.__version__.startswith(found["versions"]["torch"])  # which may name the kind of its build, too
    text = origin(found)
    assert f"torch {found['versions']['torch']}, numpy {np.__version__}" in text
    assert text.endswith(f"; trainings of {record.date} to 2999-01-02 at commits 0000000, fffffff")
    assert "trainings" not in made()


def test_a_cell_that_cannot_be_trained_is_refused_with_its_reason(workshop):
    with pytest.raises(Exception, match=r"--lr.*number above 0"):
        workshop.run([TINY.with_(lr=-1.0)], [VAL])


@settings(max_examples=50)
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


def test_keys_of_generators_are_those_of_records_that_were_made_before_other_cells_were():
    assert TINY.key == "477929c69c738e27"
    plain = Cell(World(), {"steps": 2000, "lr": 2e-3, "seed": 100, "sources": ["s1", "dem"]})
    assert plain.key == "4716155e0d7ec322"
    assert plain.to_json().keys() == {"world", "options"}
    assert str(TEST) == "test s1"


def test_a_part_of_a_world_holds_the_tiles_that_a_segmentation_network_with_few_labels_learns_from(workshop, tmp_path):
    whole, part = (DatasetFolder.open(workshop.dataset(world)) for world in (HALF.world.whole, HALF.world))
    assert part.rows == whole.rows
    assert part.info.split == whole.info.split
    kept = {row.tile for row in open_tiles(part, "train", ("s2",)).rows}
    config = SEGMENTER.config(whole.path, tmp_path)
    data = Data(config, torch.device("cpu"))
    assert kept == {whole.in_split("train")[n].tile for n in data.real}
    for row in whole.rows:
        there = row.split != "train" or row.tile in kept
        assert all(part.has(name, row.tile) == there for name in ("s2", "s1", "lulc", "dem"))
    assert part.info.statistics != whole.info.statistics


def test_a_part_of_whole_scenes_is_that_of_a_segmentation_network_with_labels_of_few_scenes(workshop, tmp_path):
    world = dataclasses.replace(HALF.world, images_by="scene")
    part = DatasetFolder.open(workshop.dataset(world))
    assert part.path != workshop.dataset(HALF.world)
    kept = {row.tile for row in open_tiles(part, "train", ("s2",)).rows}
    config = SEGMENTER.with_(labels_by="scene").config(workshop.dataset(world.whole), tmp_path)
    assert kept == {part.in_split("train")[n].tile for n in Data(config, torch.device("cpu")).real}
    scenes = {row.scene for row in part.rows if row.tile in kept}
    assert kept == {row.tile for row in part.in_split("train") if row.scene in scenes}


def test_images_by_another_rule_of_residuals_are_another_cell():
    mixed = dataclasses.replace(SEGMENTER, synthetic=Synthetic(HALF, residuals=4))
    content = json.loads(json.dumps(mixed.to_json()))
    assert Cell.from_json(content) == mixed
    del content["synthetic"]["rule"]  # as the first ones were kept
    assert Cell.from_json(content).key not in (mixed.key, SEGMENTER.key)


def test_images_by_another_rule_than_this_code_has_are_not_made(workshop):
    with pytest.raises(SystemExit, match=f"rule 1, this code lays them over by rule {RULE}"):
        workshop.synthetic(Synthetic(HALF, residuals=4, rule=1))


@pytest.fixture(scope="module")
def segmented(workshop):
    (found,) = workshop.run([SEGMENTER], [MAPS])
    return found


def test_a_segmentation_network_is_trained_on_what_a_generator_makes_and_scored(workshop, segmented):
    assert 0 < segmented.scores[str(MAPS)]["miou"] < segmented.scores[str(MAPS)]["accuracy"] < 1
    assert [point["step"] for point in segmented.curve] == [15, 30]
    assert segmented.cell == SEGMENTER
    synthetic = DatasetFolder.open(workshop.out / "synthetic" / SEGMENTER.synthetic.key)
    whole = DatasetFolder.open(workshop.dataset(SEGMENTER.world))
    refuse_synthetic_set(whole, synthetic)  # nothing of it leaks
    assert {row.parent for row in synthetic.rows} == {row.tile for row in whole.in_split("train")}


def test_a_finished_segmentation_network_is_found_again_here_and_elsewhere(workshop, segmented, tmp_path, monkeypatch):
    write_results(tmp_path / "results.json", {"experiment": "test"}, [segmented])
    content = json.loads((tmp_path / "results.json").read_text())
    elsewhere = Workshop(tmp_path / "elsewhere", workers=0)
    assert elsewhere.take_over(content["cells"]) == 1
    monkeypatch.setattr(Workshop, "_make_here", lambda *_: pytest.fail("the cell was run again"))
    assert workshop.run([SEGMENTER], [MAPS]) == [segmented]
    assert elsewhere.run([SEGMENTER], [MAPS])[0].scores == segmented.scores


def test_a_record_no_longer_counts_where_a_default_of_its_generator_has_changed(segmented):
    assert segmented.is_current()
    assert not dataclasses.replace(segmented, generator={**segmented.generator, "loss.l1": 7.0}).is_current()


def test_a_generator_that_is_known_by_its_record_alone_is_trained_for_its_images_and_keeps_its_scores(
    workshop, segmented, tmp_path
):
    elsewhere = Workshop(tmp_path, workers=0)
    (tmp_path / "worlds").mkdir()
    for world in (HALF.world, HALF.world.whole):
        (tmp_path / "worlds" / world.name).symlink_to(workshop.dataset(world))
    known = dataclasses.replace(Record.read(workshop.folder(HALF) / "record.json"), scores={"val": {"psnr": 1.0}})
    elsewhere.take_over([known.to_json()])
    elsewhere.synthetic(SEGMENTER.synthetic)
    assert elsewhere.weights(HALF).is_dir()
    assert Record.read(elsewhere.folder(HALF) / "record.json").scores == known.scores


def test_a_network_whose_training_was_interrupted_is_not_scored_as_finished(workshop, segmented, tmp_path):
    run = tmp_path / "run"
    (run / "model_last").mkdir(parents=True)
    assert is_trained(SEGMENTER, run)
    (run / "checkpoints" / "step_00000015").mkdir(parents=True)
    assert not is_trained(SEGMENTER, run)
    assert is_trained(SEGMENTER, workshop.folder(SEGMENTER) / "run")


def test_a_forest_is_a_cell_too(workshop):
    cell = Cell(HALF.world.whole, {"labels": 1.0, "pixels": 400, "trees": 4, "seed": 1}, "forest")
    (found,) = workshop.run([cell], [MAPS])
    assert found.scores[str(MAPS)]["accuracy"] > 0.2
    assert found.parameters > 2
    assert workshop.run([cell], [MAPS]) == [found]


def test_an_answer_without_a_network_is_a_cell_too_and_has_the_scores_of_evaluate(workshop):
    floor, bound = (Cell(TINY.world, {"answer": name}, "answer") for name in ("class_mean", "oracle"))
    low, high = (record.scores[str(TEST)] for record in workshop.run([floor, bound], [TEST]))
    found = evaluate_baselines(DatasetFolder.open(workshop.dataset(TINY.world)), Accelerator(cpu=True))
    assert (low["psnr"], high["psnr"]) == (found["class_mean"].summary["psnr"], found["oracle"].summary["psnr"])
    assert low["psnr"] + 3 < high["psnr"]
    assert low["per_class"].keys() == high["per_class"].keys()


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
def test_the_detectable_difference_is_found_as_often_as_it_says(alpha):
    rng = np.random.default_rng(0)
    first = rng.normal(size=10)
    shift = detectable_difference(first, np.zeros(10), alpha=alpha)
    spread = float(np.std(first, ddof=1))
    draws = rng.normal(shift, spread, size=(20_000, 10))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < alpha) == pytest.approx(0.8, abs=0.01)
    assert math.isnan(detectable_difference([1.0], [0.0]))


def test_p_values_of_several_tests_are_raised_in_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]


def test_a_new_generation_of_generators_makes_new_images_and_new_networks_and_no_new_forest(monkeypatch):
    forest = Cell(HALF.world.whole, {"pixels": 400}, "forest")
    before = [HALF.key, SEGMENTER.key, SEGMENTER.synthetic.key, forest.key]
    monkeypatch.setitem(GENERATIONS, "generator", 99)
    after = [HALF.key, SEGMENTER.key, SEGMENTER.synthetic.key, forest.key]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, False, True]


def test_a_cell_that_fails_keeps_no_other_from_being_made(tmp_path, monkeypatch, capsys):
    workshop = Workshop(tmp_path, workers=1)
    made = []
    monkeypatch.setattr(workshop, "dataset", lambda world: tmp_path)
    monkeypatch.setattr(
        workshop, "_make", lambda cell, *_: made.append(cell) or ("it diverged" if len(made) == 1 else "")
    )
    cells = [TINY.with_(seed=seed) for seed in (1, 2, 3)]
    with pytest.raises(SystemExit, match="it diverged"):
        workshop.run(cells, [MAPS])
    assert made == cells
