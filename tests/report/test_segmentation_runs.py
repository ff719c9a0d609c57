"""Segmentation runs on the page: scores, confusion and maps, as `segmentation.evaluate` leaves them."""

import json
import re

import numpy as np
import pytest
import rasterio

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.landcover import scheme_named
from rsspade.report.segmentation import MapRun, build_map_group
from segmentation.metrics import scores


@pytest.fixture(scope="module")
def drawn(make_map_run, data, tmp_path_factory):
    return make_map_run(tmp_path_factory.mktemp("maps") / "mapper", data)


def report(tmp_path, *words):
    return main(["report", *map(str, words), "--out", str(tmp_path / "r.html")])


def text_of(tmp_path):
    html = re.sub(r"<(style|script)>.*?</\1>", "", (tmp_path / "r.html").read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_scores_confusion_and_maps_are_on_the_page(drawn, tmp_path):
    assert report(tmp_path, drawn) == 0
    found = json.loads((drawn / "scores.json").read_text())
    text = text_of(tmp_path)
    for words in (f"mIoU {found['miou']:.3f}", "rs_unet from s2", "Per class", "percent of the pixels of each true class",
                  "Right and wrong", "Labels", "Kappa"):  # fmt: skip
        assert words in text, words
    assert "has no generator" not in text


def test_the_confusion_matrix_is_shares_of_the_truth(drawn, data):
    run = MapRun(key="r0", name="x", series="run1", scores=json.loads((drawn / "scores.json").read_text()), maps=drawn)
    matrix = build_map_group(0, [run], None).confusions[0]
    assert "snow and ice" not in matrix.classes  # neither in the truth nor in the maps
    counts = np.array(run.scores["confusion"], float)
    water = dict(zip(matrix.classes, dict(matrix.rows)["water"], strict=True))
    assert water["water"][0] == f"{100 * counts[0, 0] / counts[0].sum():.0f}"
    assert water["water"][1] > water["crops"][1] == 0  # darker where there is more


def test_generators_and_maps_stand_on_one_page(drawn, make_run, data, tmp_path):
    assert report(tmp_path, make_run(tmp_path / "gan", data=data), drawn) == 0
    text = text_of(tmp_path)
    assert "Per band" in text
    assert "Confusion" in text


def test_a_run_without_scores_tells_the_command_that_makes_them(make_map_run, data, tmp_path):
    run = make_map_run(tmp_path / "m", data)
    (run / "scores.json").unlink()
    assert report(tmp_path, run) == 0
    assert f"python -m segmentation.evaluate --run {run} --data DATASET" in text_of(tmp_path)


def test_without_maps_the_scores_remain(make_map_run, data, tmp_path):
    run = make_map_run(tmp_path / "m", data, maps=False)
    assert report(tmp_path, run) == 0
    assert "Confusion" in text_of(tmp_path)
    assert "Right and wrong" not in text_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"classes": ["a"], "confusion": [[1, 2]]}', '{"classes": [], "confusion": []}',
     '{"classes": ["a"], "confusion": [[1]], "miou": 1, "accuracy": 1, "kappa": 1, "mpa": 1, "fwiou": "x", "per_class": {}}'],
)  # fmt: skip
def test_scores_that_cannot_be_understood_are_refused(make_map_run, data, tmp_path, capsys, content):
    run = make_map_run(tmp_path / "m", data, maps=False)
    (run / "scores.json").write_text(content)
    assert report(tmp_path, run) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "scores.json: expected the scores of a segmentation run" in err


def test_maps_of_another_size_are_refused(make_map_run, make_dataset, data, tmp_path, capsys):
    run = make_map_run(tmp_path / "m", data)
    other = make_dataset(tmp_path / "other", tile_size=96)
    assert report(tmp_path, run, "--data", other.path) == 2
    assert "as the labels are" in capsys.readouterr().err


def test_pixels_that_a_map_leaves_open_are_not_wrong(make_map_run, data, tmp_path):
    run = make_map_run(tmp_path / "m", data)
    for path in (run / "maps").iterdir():
        with rasterio.open(path, "r+") as out:
            ids = out.read()
            ids[:, : ids.shape[1] // 3] = 255
            out.write(ids)
    drawn = MapRun(
        key="r0", name="x", series="run1", scores=json.loads((run / "scores.json").read_text()), maps=run / "maps"
    )
    tiles = build_map_group(0, [drawn], DatasetFolder.open(data)).tiles
    assert tiles
    assert all("100.0% right" in str(tile.scores) for tile in tiles)


def test_a_tile_without_one_label_is_not_chosen(drawn, data):
    scheme = scheme_named("dynamic_world")
    empty = scores(np.zeros((len(scheme.classes),) * 2), scheme.names)
    content = empty | {"tiles": 2, "split": "test", "landcover_scheme": scheme.name}
    run = MapRun(key="r0", name="x", series="run1", scores=content, maps=drawn / "none")
    group = build_map_group(0, [run], DatasetFolder.open(data))
    assert group.tiles == []
    assert "no pixel is labelled" in group.lead[0][0][0]
