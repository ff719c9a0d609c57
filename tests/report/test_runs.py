"""What a run folder says of itself, whole, cut short and damaged."""

import json

import pytest

from rsspade.errors import InputError
from rsspade.report.runs import flattened, open_run, read_history


def history(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(text)
    return read_history(tmp_path / "metrics.jsonl")


def test_a_run_tells_its_curves_options_and_generator(make_run, tmp_path):
    run = open_run(make_run(tmp_path / "r", data="somewhere"))
    assert (run.name, run.data, run.options["batch_size"]) == ("r", "somewhere", 2)
    assert run.history.losses["l1"] == [(10, 0.4), (20, 0.3), (30, 0.2)]
    assert run.history.losses["ssim"] == [(10, 0.2), (20, 0.1)]  # null: not finite
    assert run.history.scores["psnr"] == [(20, 18.0)]
    assert (run.history.best_step, run.history.last_step) == (20, 30)
    assert run.generator["training"]["step"] == 20
    assert len(run.weights) == 12


def test_a_generator_folder_is_a_run_without_history(make_run, tmp_path):
    run = open_run(make_run(tmp_path / "r") / "generator")
    assert run.generator is not None
    assert (run.options, run.history.last_step) == ({}, 0)


def test_a_last_line_that_a_kill_cut_short_is_passed_over(tmp_path):
    found = history(tmp_path, '{"step": 1, "loss": {"l1": 0.5}}\n{"step": 2, "lo')
    assert found.cut_short
    assert found.losses == {"l1": [(1, 0.5)]}


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"loss": {}}', '{"step": "x"}', '{"step": 1, "loss": 3}', "\x00\xff", "[" * 100_000]
)
def test_nonsense_before_the_last_line_is_refused_with_its_number(tmp_path, line):
    with pytest.raises(InputError, match=r"metrics\.jsonl line 2: expected a JSON object with a step"):
        history(tmp_path, f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')


def test_values_that_are_no_numbers_make_no_curve(tmp_path):
    found = history(tmp_path, '{"step": 1, "loss": {"a": true, "b": "x", "c": NaN, "d": 1}}\n')
    assert found.losses == {"d": [(1, 1.0)]}


def test_a_run_that_diverged_says_where(tmp_path):
    assert history(tmp_path, '{"step": 7, "diverged": {"generator": 3, "discriminator": 0}}\n').diverged_at == 7


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.yaml", "a: [", "expected the options of a run, found broken YAML"),
        ("config.yaml", "- 1", "found list"),
        ("config.yaml", "", "found nothing"),
        ("config.yaml", "!!python/object/apply:os.system ['true']", "found broken YAML"),
        ("config.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "found broken YAML"),  # grows a billion times in some more lines
        ("generator/config.json", "{", "expected the description of a network, found broken JSON"),
        ("generator/config.json", "[]", "found list"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_its_name(make_run, tmp_path, file, content, expected):
    run = make_run(tmp_path / "r")
    (run / file).write_text(content)
    with pytest.raises(InputError, match=expected) as caught:
        open_run(run)
    assert str(run / file) in str(caught.value)


def test_the_commit_is_that_of_the_last_session_and_damage_spoils_nothing(make_run, tmp_path):
    run = make_run(tmp_path / "r")
    assert open_run(run).commit == ""
    (run / "environment.json").write_text(json.dumps([{"commit": "aa"}, {"commit": "bb"}]))
    assert open_run(run).commit == "bb"
    for damaged in ("{", "[]", "[3]", '[{"commit": null}]', "{}"):
        (run / "environment.json").write_text(damaged)
        assert open_run(run).commit == ""


def test_options_are_told_by_dotted_names():
    assert flattened({"a": {"b": 1, "c": None}, "d": ["x", "y"], "e": True}) == {
        "a.b": "1",
        "a.c": "–",
        "d": "x, y",
        "e": "true",
    }
