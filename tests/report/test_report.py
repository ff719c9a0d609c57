"""`rsspade report`: what is on the page, and what it refuses."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.report.pictures import as_data_url


@pytest.fixture(scope="module")
def run(make_run, data, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "first", data=data)


@pytest.fixture(scope="module")
def page(run, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(run), "--out", str(out), "--data", str(data)]) == 0
    return out


def text_of(page):
    """What a reader sees, without markup, pictures, style and script."""
    html = re.sub(r"<(style|script)>.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def report(tmp_path, *words):
    return main(["report", *map(str, words), "--out", str(tmp_path / "r.html")])


def test_the_scores_are_those_of_evaluate(page, run, data, tmp_path):
    main(["evaluate", "--run", str(run), "--data", str(data), "--json", str(tmp_path / "s.json")])
    scores = json.loads((tmp_path / "s.json").read_text())
    text = text_of(page)
    assert f"{scores['psnr']:.2f} dB PSNR" in text.replace("−", "-")
    for band in ("blue", "green", "red", "nir"):
        assert f"{band} {scores['per_band'][band]['psnr']:.2f}" in text.replace("−", "-")
    assert f"{scores['baselines']['class_mean']['psnr']:.2f}" in text
    assert "below the class-mean image" in text  # the network is not trained


def test_everything_that_was_promised_is_there(page):
    text = text_of(page)
    for words in ("rs_spade from s1, lulc, dem", "made-up land", "1 l1 + 0.2 ssim", "Per band", "Per land-cover class", "s1 + dem",
                  "class mean", "Best", "Worst", "True colour", "False colour", "Error", "Spectral angle", "Radar", "Mean spectra",
                  "Validation", "Losses", "All options", "loss.kind"):  # fmt: skip
        assert words in text, words
    html = page.read_text()
    assert html.count("<svg") > 10
    assert (
        html.count("data:image/webp;base64,") >= 2 + 2 * 9
    )  # two scales of colour; nine pictures of each of two tiles


def test_nothing_in_the_page_points_outside(page):
    html = page.read_text()
    assert "default-src 'none'" in html
    assert "unsafe" not in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.findall(r"https?://", html)
    assert not re.findall(r"\sstyle=|\son\w+=", html)


def test_the_same_run_gives_the_same_bytes(page, run, tmp_path):
    assert report(tmp_path, run) == 0  # its own dataset is still where it was
    assert (tmp_path / "r.html").read_bytes() == page.read_bytes()


def test_several_runs_stand_side_by_side(make_run, run, data, tmp_path, capsys):
    other = make_run(tmp_path / "deeper" / "first", data=data, seed=3)
    assert report(tmp_path, run, other) == 0
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'r.html'}\n"
    text = text_of(tmp_path / "r.html")
    assert "deeper/first" in text  # folders of one name are told apart
    assert "those that differ first" in text
    assert "mean over the runs" in text


def test_runs_on_different_datasets_are_never_set_side_by_side(make_run, make_dataset, run, tmp_path):
    dataset = make_dataset(tmp_path / "d", seed=5)
    info = json.loads((dataset.path / "dataset.json").read_text())
    (dataset.path / "dataset.json").write_text(json.dumps(info | {"name": "another land"}))
    assert report(tmp_path, run, make_run(tmp_path / "other", data=dataset.path)) == 0
    text = text_of(tmp_path / "r.html")
    assert "How good it is on made-up land, test split" in text
    assert "How good it is on another land, test split" in text
    assert "mean over the runs" not in text


def test_small_pictures_keep_every_pixel_and_large_ones_stay_small():
    noise = np.random.default_rng(0).integers(0, 256, (1000, 800, 3)).astype(np.float64) / 255
    small, large = (
        Image.open(io.BytesIO(base64.b64decode(as_data_url(p).split(",")[1]))) for p in (noise[:256, :200], noise)
    )
    assert np.array_equal(np.asarray(small), (noise[:256, :200] * 255).round())
    assert large.size == (614, 768)


def test_a_result_on_the_built_in_world_is_called_so(page, make_run, make_dataset, tmp_path):
    assert "built-in world: no place on Earth" not in text_of(page)
    dataset = make_dataset(tmp_path / "d")
    info = json.loads((dataset.path / "dataset.json").read_text())
    (dataset.path / "dataset.json").write_text(json.dumps(info | {"made_by": {"command": "world"}}))
    assert report(tmp_path, make_run(tmp_path / "r", data=dataset.path)) == 0
    assert "built-in world: no place on Earth" in text_of(tmp_path / "r.html")


def test_names_out_of_files_are_text_and_nothing_else(make_run, make_dataset, tmp_path):
    evil = "<script>alert(1)</script>"
    dataset = make_dataset(tmp_path / "d")
    info = json.loads((dataset.path / "dataset.json").read_text())
    (dataset.path / "dataset.json").write_text(json.dumps(info | {"name": evil}))
    lines = [{"step": 1, "loss": {evil: 0.5}}, {"step": 2, "loss": {evil: 0.4}}]
    run = make_run(tmp_path / '"><img src=x onerror=alert(1)>', data=dataset.path, lines=lines, model=evil)
    assert report(tmp_path, run) == 0
    html = (tmp_path / "r.html").read_text()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert html.count("<script>") == 1


def test_without_the_dataset_the_page_shows_what_the_run_wrote_down_and_says_what_is_missing(make_run, tmp_path):
    assert report(tmp_path, make_run(tmp_path / "r", data=tmp_path / "gone")) == 0
    text = text_of(tmp_path / "r.html")
    assert "was not scored" in text
    assert "Name one with --data" in text
    assert "Validation" in text
    assert "Per band" not in text


def test_a_run_that_was_never_validated_shows_its_curves(make_run, data, tmp_path):
    assert report(tmp_path, make_run(tmp_path / "r", data=data, generator=False)) == 0
    assert "has no generator yet" in text_of(tmp_path / "r.html")


def test_an_interrupted_and_a_diverged_run_say_so(make_run, tmp_path):
    run = make_run(tmp_path / "r", lines=[{"step": 3, "loss": {"l1": 1.0}}, {"step": 4, "diverged": {}}])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    assert report(tmp_path, run) == 0
    assert "cut short" in text_of(tmp_path / "r.html")
    assert "diverged at step 4" in text_of(tmp_path / "r.html")


def test_another_split_than_that_of_training_is_told(make_run, data, tmp_path):
    run = make_run(tmp_path / "r", data=data)
    config = run / "generator" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"split_sha256": "0" * 64}))
    assert report(tmp_path, run) == 0
    assert "trained on another split or dataset" in text_of(tmp_path / "r.html")


def test_a_dataset_without_land_cover_has_no_class_table(make_run, make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d", sources=("S2", "S1"))
    assert report(tmp_path, make_run(tmp_path / "r", data=dataset.path)) == 0
    text = text_of(tmp_path / "r.html")
    assert "Per band" in text
    assert "Per land-cover class" not in text


def test_a_source_that_no_test_tile_holds_is_not_scored_alone(make_run, make_dataset, data, tmp_path):
    lost = [("S1", row.tile) for row in DatasetFolder.open(data).in_split("test")]
    part = make_dataset(tmp_path / "part", missing=lost).path
    run = make_run(tmp_path / "run", data=part)
    assert report(tmp_path, run, "--data", part) == 0
    text = text_of(tmp_path / "r.html")
    assert "lulc + dem" in text
    assert "s1 + lulc" not in text


def test_a_cloudy_dataset_shows_the_clouds_and_the_copy_of_the_input(make_run, make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d", clouds=True)
    assert report(tmp_path, make_run(tmp_path / "r", data=dataset.path)) == 0
    text = text_of(tmp_path / "r.html")
    assert "copy of input" in text
    assert "Clouded" in text


def test_bands_that_have_no_colour_leave_the_pictures_out_and_keep_the_scores(make_run, data, tmp_path):
    assert report(tmp_path, make_run(tmp_path / "r", data=data, bands=("nir",))) == 0
    assert "needs other bands" in text_of(tmp_path / "r.html")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda run: shutil.rmtree(run), "expected a run folder, found no such folder"),
        (lambda run: (run / "config.yaml").unlink(), "expected a run folder with config.yaml in it, found none"),
        (lambda run: (run / "metrics.jsonl").write_text("nonsense\n{}\n"), "metrics.jsonl line 1: expected a JSON object"),
        (lambda run: (run / "generator" / "model.safetensors").write_bytes(b"x" * 100), "expected the weights of the network"),
        (lambda run: (run / "generator" / "model.safetensors").unlink(), "model.safetensors: expected a file of a generator folder"),
        (lambda run: (run / "generator" / "config.json").write_text("{}"), "expected the description of a generator"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_one_line_and_leaves_nothing(make_run, data, tmp_path, capsys, damage, expected):
    run = make_run(tmp_path / "r", data=data)
    damage(run)
    assert report(tmp_path, run) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert expected in err
    assert not list(tmp_path.glob("*.html*"))


@pytest.mark.parametrize(
    ("of_the_run", "expected"),
    [({"scheme": "worldcover"}, "expected land cover in the scheme worldcover"), ({"bands": ("red", "swir16")}, "expected the optical bands red, swir16")],
)  # fmt: skip
def test_a_dataset_that_does_not_fit_the_run_is_refused(make_run, data, tmp_path, capsys, of_the_run, expected):
    assert report(tmp_path, make_run(tmp_path / "r", **of_the_run), "--data", data) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert expected in err


@pytest.mark.parametrize(
    ("out", "expected"), [("r.pdf", "ends in .html"), ("none/r.html", "folder that exists"), ("", "")]
)
def test_a_page_that_cannot_be_written_is_refused_before_the_work(run, tmp_path, capsys, out, expected):
    target = tmp_path / out if out else tmp_path / "folder.html"
    if not out:
        target.mkdir()
    assert main(["report", str(run), "--out", str(target)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert expected in err
