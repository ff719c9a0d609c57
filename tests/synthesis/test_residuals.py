"""Residuals of real tiles laid over made images: whose they are, what they change, and what `generate` makes of them."""

import json

import numpy as np
import pytest
import torch
from generate_runs import generate, images, pixels, save_run, tags

from rsspade.data.check import check_dataset
from rsspade.data.manifest import DatasetFolder
from rsspade.sources import UNLABELLED
from rsspade.synthesis.residuals import RULE, Residuals

SIDE = 16
INTERRUPTED = 130


def lenders(*marks, scenes=None, classes=None):
    """Donors whose residual is a constant each."""
    values = torch.stack([torch.full((1, SIDE, SIDE), float(mark)) for mark in marks]).half()
    held = torch.zeros((len(marks), SIDE, SIDE), dtype=torch.uint8) if classes is None else classes
    names = [f"t{n}" for n in range(len(marks))]
    return Residuals(values, held, names, scenes or [f"s{n}" for n in range(len(marks))])


def laid(residuals, classes=None, *, tile="mine", scene="mine", seed=0, sample=0):
    """The factors by which an image of reflectance 0.2 was changed."""
    held = torch.zeros((SIDE, SIDE), dtype=torch.uint8) if classes is None else classes
    image = torch.full((1, SIDE, SIDE), 0.2)
    return (residuals.lay_over(image, held, tile=tile, scene=scene, seed=seed, sample=sample)[0] / 0.2).log()


def test_a_pixel_gets_a_residual_of_its_own_class_or_none():
    classes = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8)
    classes[1] = 4
    mine = torch.zeros((SIDE, SIDE), dtype=torch.uint8)
    mine[:, 8:] = 4
    mine[0, 0], mine[-1, -1] = 7, UNLABELLED  # no donor holds the one, the other has no class
    found = laid(lenders(0.3, -0.5, classes=classes), mine)
    expected = torch.where(mine == 0, 0.3, -0.5)
    expected[0, 0] = expected[-1, -1] = 0
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_a_class_that_one_donor_of_many_holds_is_not_left_plain():
    classes = torch.zeros((60, SIDE, SIDE), dtype=torch.uint8)
    classes[7] = 6
    several = lenders(*[0.5 if n == 7 else -0.5 for n in range(60)], classes=classes)
    mine = torch.zeros((SIDE, SIDE), dtype=torch.uint8)
    mine[:3, :3] = 6
    for sample in range(10):
        assert laid(several, mine, sample=sample)[:3, :3].min() == pytest.approx(0.5, abs=1e-3)


def test_a_class_gets_its_residual_wherever_a_donor_holds_it():
    classes = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8)
    classes[1, 2:6, 9:14] = 6  # no turn brings it to the middle
    mine = torch.zeros((SIDE, SIDE), dtype=torch.uint8)
    mine[6:10, 6:10] = 6
    marks = torch.where(classes == 6, 0.5, -0.5)[:, None].half()
    several = Residuals(marks, classes, ["t0", "t1"], ["s0", "s1"])
    for sample in range(5):
        torch.testing.assert_close(
            laid(several, mine, sample=sample), torch.where(mine == 6, 0.5, -0.5), atol=1e-3, rtol=0
        )


def test_what_is_moved_keeps_what_lies_side_by_side():
    values = torch.arange(float(SIDE * SIDE)).reshape(1, 1, SIDE, SIDE) / 1000
    classes = torch.full((1, SIDE, SIDE), 3, dtype=torch.uint8)
    classes[0, :4, :4] = 6
    mine = torch.full((SIDE, SIDE), UNLABELLED, dtype=torch.uint8)
    mine[6:10, 6:10] = 6
    found = laid(Residuals(values.half(), classes, ["t0"], ["s0"]), mine)[6:10, 6:10]
    steps = {
        round(abs(one), 3) for one in (*found.diff(dim=0).flatten().tolist(), *found.diff(dim=1).flatten().tolist())
    }
    assert max(steps) <= 0.0165  # of neighbours in the donor; blended, where several patches were needed


def test_no_tile_lends_to_itself_nor_to_its_scene_where_there_are_others():
    several = lenders(0.3, -0.5, 0.7, scenes=["a", "a", "b"])
    for sample in range(20):
        assert laid(several, tile="t0", scene="a", sample=sample).mean() == pytest.approx(0.7, abs=1e-3)
    one_scene = lenders(0.3, -0.5, scenes=["a", "a"])
    for sample in range(20):
        assert laid(one_scene, tile="t0", scene="a", sample=sample).mean() == pytest.approx(-0.5, abs=1e-3)
    assert laid(lenders(0.3, scenes=["a"]), tile="t0", scene="a").abs().max() < 1e-6


def test_an_image_follows_from_tile_seed_and_sample_and_another_of_them_gives_another():
    rng = torch.Generator().manual_seed(0)
    several = lenders(*range(9))
    several.values.copy_(torch.randn(several.values.shape, generator=rng))
    first = laid(several)
    assert torch.equal(first, laid(several))
    assert not torch.equal(first, laid(several, sample=1))
    assert not torch.equal(first, laid(several, seed=1))
    assert not torch.equal(first, laid(several, tile="another"))


@pytest.fixture(scope="module")
def data(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("residuals") / "data", scenes=6, missing=[("S2", "s0_0_0")])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Without a head that draws."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder)
    return folder


@pytest.fixture(scope="module")
def varied(run, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "varied"
    assert generate(run, data.path, folder, "--residuals", 4, "--samples", 2) == 0
    return DatasetFolder.open(folder)


def class_means(folder, names, labels):
    """Mean logarithm of reflectance by class, over the given tiles."""
    values = np.concatenate(
        [np.log(np.maximum(pixels(folder / "S2" / f"{n}.tif"), 1e-3)).reshape(4, -1) for n in names], axis=1
    )
    held = np.concatenate([label.ravel() for label in labels])
    return np.stack([values[:, held == c].mean(axis=1) for c in np.unique(held)])


def test_images_of_a_generator_that_knows_nothing_come_near_real_ones_by_class(run, data, varied, tmp_path):
    assert generate(run, data.path, tmp_path / "plain") == 0
    parents = [row.tile for row in data.in_split("train") if data.has("s2", row.tile)]
    labels = [data.read("lulc", tile)[0] for tile in parents]
    real = class_means(data.path, parents, labels)
    plain = class_means(tmp_path / "plain", parents, labels)
    ours = class_means(varied.path, [f"{tile}__n01" for tile in parents], labels)
    assert np.abs(plain - real).mean() > 0.5
    assert np.abs(ours - real).mean() < 0.3 * np.abs(plain - real).mean()


def test_the_dataset_is_whole_and_says_whose_residuals_it_holds(varied, data):
    report = check_dataset(varied.path)
    assert not report.failed, report.to_text()
    assert "every tile is synthetic, with residuals of 4 real training tiles" in report.to_text()
    said = json.loads((varied.path / "dataset.json").read_text())["made_by"]["arguments"]
    train = {row.tile for row in data.in_split("train")}
    assert said["residuals"] == len(said["donors"]) == 4
    assert said["residuals_rule"] == RULE
    assert set(said["donors"]) <= train - {"s0_0_0"}
    told = [tags(path) for path in (varied.path / "S2").iterdir()]
    assert {(one["parent_split"], one["residuals"]) for one in told} == {("train", "4")}


def test_the_same_bytes_in_any_batch(run, data, varied, tmp_path):
    assert generate(run, data.path, tmp_path / "out", "--residuals", 4, "--samples", 2) == 0
    assert images(tmp_path / "out") == images(varied.path)
    assert generate(run, data.path, tmp_path / "ones", "--residuals", 4, "--samples", 2, "--batch-size", 1) == 0
    for path in sorted((varied.path / "S2").iterdir()):
        np.testing.assert_allclose(pixels(tmp_path / "ones" / "S2" / path.name), pixels(path), atol=2.1e-4)


def test_a_job_that_another_rule_began_does_not_go_on(run, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rsspade.synthesis.generate.DatasetFolder.write", interrupt)
    assert generate(run, data.path, tmp_path / "out", "--residuals", 4) == INTERRUPTED
    monkeypatch.undo()
    monkeypatch.setattr("rsspade.synthesis.generate_plan.RULE", RULE + 1)
    assert generate(run, data.path, tmp_path / "out", "--residuals", 4) == 2
    assert "residuals_rule" in capsys.readouterr().err
    monkeypatch.undo()
    assert generate(run, data.path, tmp_path / "out", "--residuals", 4) == 0


def interrupt(*_):
    raise KeyboardInterrupt


def test_donors_do_not_count_among_what_the_model_is_asked_for(data, tmp_path, monkeypatch):
    save_run(tmp_path / "run", training={"seen": {"dem": {"elevation": [0.0, 16.0], "slope": [0.0, 30.0]}}})
    counted = []
    monkeypatch.setattr("rsspade.models.seen.Seen.gather", lambda seen, _: counted.append(seen))
    assert generate(tmp_path / "run", data.path, tmp_path / "plain", "--split", "test") == 0
    assert generate(tmp_path / "run", data.path, tmp_path / "varied", "--split", "test", "--residuals", 4) == 0
    plain, varied = (seen.sentences() for seen in counted)
    assert plain
    assert varied == plain


def test_without_land_cover_or_real_images_there_is_one_line(run, make_dataset, tmp_path, capsys):
    for missing, told in (
        ("LULC", "expected a dataset with land cover"),
        ("S2", "expected a dataset with land cover and real images"),
    ):
        tiles = [f"s{s}_{r}_{c}" for s in range(6) for r in range(2) for c in range(2)]
        made = make_dataset(tmp_path / missing, scenes=6, missing=[(missing, tile) for tile in tiles])
        assert generate(run, made.path, tmp_path / f"{missing}-out", "--residuals", 4) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "--residuals" in error
        assert not (tmp_path / f"{missing}-out").exists()
        assert told in error
