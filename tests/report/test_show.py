import csv
import io
import json

import matplotlib.image
import numpy as np
import pytest

from rsspade.cli import main
from rsspade.data.manifest import DatasetFolder
from rsspade.landcover import scheme_named
from rsspade.models import RSSpade
from rsspade.report import colours
from rsspade.report.answers import answer_tile
from rsspade.report.figures import figure_to_png, tile_figure, tile_panels
from rsspade.report.panels import Line, Panel, panel_figure
from rsspade.report.run_panels import answer_panels


@pytest.fixture(scope="module")
def dataset(make_dataset, tmp_path_factory):
    """S2 of one tile is missing; S1 of another."""
    folder = tmp_path_factory.mktemp("show") / "d"
    return make_dataset(folder, missing=[("S2", "s1_0_0"), ("S1", "s0_0_1")])


def panels(dataset, tile, **options):
    row = next(r for r in dataset.rows if r.tile == tile)
    return {p.title: p for p in tile_panels(dataset, row, with_cloudy=options.get("with_cloudy", False))}


def test_default_name_of_one_tile_and_of_several(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show", str(dataset.path), "s0_0_0"]) == 0
    assert main(["show", str(dataset.path), "s0_0_0", "s1_0_0"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s0_0_0.png", "tiles.png"]
    assert capsys.readouterr().out.split() == ["Wrote", "s0_0_0.png", "Wrote", "tiles.png"]
    one, two = (matplotlib.image.imread(tmp_path / n) for n in ("s0_0_0.png", "tiles.png"))
    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.8 * one.shape[0]


def test_picture_is_overwritten_and_the_same_again(dataset, tmp_path):
    out = tmp_path / "p.png"
    main(["show", str(dataset.path), "s0_0_0", "--out", str(out)])
    first = out.read_bytes()
    main(["show", str(dataset.path), "s1_0_0", "--out", str(out)])
    other = out.read_bytes()
    main(["show", str(dataset.path), "s0_0_0", "--out", str(out)])
    assert out.read_bytes() == first != other


def test_unknown_tile_is_refused_with_the_nearest_names(dataset, tmp_path, capsys):
    assert main(["show", str(dataset.path), "s0_0_9", "--out", str(tmp_path / "p.png")]) == 2
    message = capsys.readouterr().err
    assert "s0_0_9" in message
    assert "s0_0_0" in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("out", "word"), [("p.jpg", r"\.png"), ("none/p.png", "folder")])
def test_target_that_cannot_be_written_is_refused(dataset, tmp_path, capsys, out, word):
    import re

    assert main(["show", str(dataset.path), "s0_0_0", "--out", str(tmp_path / out)]) == 2
    assert re.search(word, capsys.readouterr().err)


def test_unreadable_tile_is_a_users_mistake_and_leaves_no_picture(make_dataset, tmp_path, capsys):
    dataset = make_dataset(tmp_path / "d")
    (tmp_path / "d" / "S1" / "s0_0_0.tif").write_bytes(b"II*\0")
    assert main(["show", str(dataset.path), "s0_0_0", "--out", str(tmp_path / "p.png")]) == 2
    assert "S1/s0_0_0.tif" in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()


def test_missing_source_is_an_empty_panel_that_says_so(dataset):
    for tile, title in (("s1_0_0", "True colour"), ("s1_0_0", "False colour"), ("s0_0_1", "Radar")):
        panel = panels(dataset, tile)[title]
        assert panel.picture is None
        assert panel.absent == "not in this tile"
    assert panels(dataset, "s0_0_0")["Radar"].picture is not None


def test_cloudy_image_has_a_panel_where_any_tile_has_one(make_dataset, dataset, tmp_path):
    clouded = make_dataset(tmp_path / "d", clouds=True)
    plain, with_clouds = (tile_figure(d, d.rows[:1]) for d in (dataset, clouded))
    assert len(plain.axes) == 5
    assert len(with_clouds.axes) == 6
    row = clouded.rows[0]
    assert f"{row.cloud_fraction:.0%} cloud" in panels(clouded, row.tile, with_cloudy=True)["Clouded"].detail


def test_legend_holds_the_classes_that_are_there_in_the_colours_of_the_scheme(dataset):
    legend = panels(dataset, "s0_0_0")["Land cover"].legend
    present = np.unique(dataset.read("lulc", "s0_0_0"))
    scheme = {c.id: c for c in dataset.scheme.classes}
    assert {n.rsplit(" ", 1)[0] for n in legend} == {scheme[i].name.replace("_", " ") for i in present.tolist()}
    assert set(legend.values()) == {scheme[i].colour for i in present.tolist()}


def test_heading_tells_tile_scene_split_and_dates(dataset):
    row = dataset.rows[0]
    texts = " ".join(t.get_text() for t in tile_figure(dataset, [row]).texts)
    for fact in (row.tile, row.scene, row.split, row.s1_date, row.s2_date):
        assert fact in texts


def test_optical_bands_without_nir_leave_false_colour_empty(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d")
    info = json.loads((tmp_path / "d" / "dataset.json").read_text())
    info["sources"]["S2"]["bands"] = ["blue", "green", "red"]
    (tmp_path / "d" / "dataset.json").write_text(json.dumps(info))
    reopened = DatasetFolder.open(dataset.path)
    panel = panels(reopened, "s0_0_0")["False colour"]
    assert panel.picture is None
    assert "nir" in panel.absent
    assert panels(reopened, "s0_0_0")["True colour"].picture is not None


def test_synthetic_tile_is_called_so(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d")
    with (tmp_path / "d" / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0].update(synthetic="1", parent="p7", parent_split="train")
    with (tmp_path / "d" / "tiles.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    reopened = DatasetFolder.open(dataset.path)
    assert "synthetic, made from p7" in " ".join(t.get_text() for t in tile_figure(reopened, reopened.rows[:1]).texts)


def test_stretch_is_fixed_and_pixels_without_data_are_grey():
    image = np.full((4, 2, 2), 0.15, np.float32)
    image[:, 0, 0] = np.nan
    image[:, 1, 1] = 0.9
    picture = colours.true_colour(image, ("blue", "green", "red", "nir"))
    assert picture[0, 0] == pytest.approx(colours.NO_DATA)
    assert picture[1, 1] == pytest.approx([1, 1, 1])
    assert picture[0, 1] == pytest.approx([0.5 ** (1 / colours.GAMMA)] * 3)


def test_bands_are_found_by_name_and_not_by_position():
    image = np.stack([np.full((1, 1), v, np.float32) for v in (0.3, 0.0, 0.1, 0.2)])
    red, green, blue = colours.true_colour(image, ("red", "nir", "green", "blue"))[0, 0]
    assert red > blue > green > 0


def test_unlabelled_and_unknown_classes_are_grey_and_others_in_their_colour():
    scheme = scheme_named("dynamic_world")
    picture = colours.landcover_colours(np.array([[0, 255, 77]], np.uint8), scheme)
    assert picture[0, 0] == pytest.approx(np.array([0x41, 0x9B, 0xDF]) / 255)
    assert picture[0, 1] == pytest.approx(colours.NO_DATA)
    assert picture[0, 2] == pytest.approx(colours.NO_DATA)


def test_plain_is_not_stretched_into_mountains():
    assert colours.relief_range(np.array([[3.0, 5.0]])) == (3.0, 23.0)
    assert colours.relief_range(np.array([[100.0, np.nan, 400.0]])) == (100.0, 400.0)


def test_figure_leaves_the_state_of_pyplot_alone(dataset):
    import sys

    before = "matplotlib.pyplot" in sys.modules
    figure_to_png(tile_figure(dataset, dataset.rows[:1]))
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_figure_that_is_too_large_loses_shades_and_no_pixels(dataset):
    figure = tile_figure(dataset, dataset.rows[:1])
    whole = figure_to_png(figure)
    assert figure_to_png(figure, most_bytes=len(whole)) == whole
    smaller = figure_to_png(figure, most_bytes=len(whole) - 1)
    first, second = (matplotlib.image.imread(io.BytesIO(content))[..., :3] for content in (whole, smaller))
    assert len(smaller) < len(whole)
    assert 0 < np.abs(first - second).max() < 0.6 / 15


def test_panels_have_scales_of_their_own_and_share_a_legend():
    slope = Panel(title="Slope", picture=colours.SLOPE.colours(np.full((4, 4), 20.0)), ramp=colours.SLOPE)
    figure = panel_figure([Line(panels=[slope, None], heading="Tile", facts="here")], legend={"water": "#0000ff"})
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.child_axes[0].get_xticklabels()] == ["0°", "10°", "20°", "30°", "40°"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["water"]
    assert [t.get_text() for t in figure.texts] == ["Tile", "here"]
    power = colours.Ramp(name="gray", low=0, high=1.5, ticks=(0, 0.75, 1.5))
    assert [power.label(v) for v in power.ticks] == ["0.00", "0.75", "1.50"]
    assert colours.radar_ramp("vv").label(-22.0) == "−22 dB"
    assert colours.SLOPE.colours(np.array([[np.nan]]))[0, 0] == pytest.approx(colours.NO_DATA)


def test_a_run_adds_its_panels_beneath_those_of_the_tile(dataset, make_run, tmp_path):
    run = make_run(tmp_path / "run")
    for name, words in (("plain", []), ("run", ["--run", str(run)])):
        assert (
            main(["show", str(dataset.path), "s0_0_0", "s1_0_0", "--out", str(tmp_path / f"{name}.png"), *words]) == 0
        )
    plain, more = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in ("plain", "run"))
    assert plain.shape[1] == more.shape[1]
    assert more.shape[0] > 1.7 * plain.shape[0]


def test_panels_of_a_run_are_the_synthetic_image_its_error_and_its_angle(dataset, make_run, tmp_path):
    model = RSSpade.from_pretrained(make_run(tmp_path / "run"))
    row = next(r for r in dataset.rows if r.tile == "s0_0_0")
    answer = answer_tile(model, dataset, row)
    truth = dataset.read("s2", "s0_0_0")
    assert answer.error == pytest.approx(np.abs(answer.image - truth).mean(axis=0))
    assert [p.title.split(",")[0] for p in answer_panels(answer)] == [
        "Synthetic",
        "Synthetic",
        "Error",
        "Spectral angle",
    ]
    assert all(p.picture is not None for p in answer_panels(answer))


def test_a_tile_without_a_clear_image_is_synthesised_and_not_compared(dataset, make_run, tmp_path):
    model = RSSpade.from_pretrained(make_run(tmp_path / "run"))
    panels = answer_panels(answer_tile(model, dataset, next(r for r in dataset.rows if r.tile == "s1_0_0")))
    assert [p.picture is None for p in panels] == [False, False, True, True]
    assert panels[2].absent == "no clear image to compare with"


def test_a_run_that_does_not_fit_is_refused_in_one_line(dataset, make_run, tmp_path, capsys):
    run = make_run(tmp_path / "run", scheme="worldcover")
    for words, expected in ((run, "scheme worldcover"), (tmp_path, "expected a run folder with generator/ in it")):
        assert main(["show", str(dataset.path), "s0_0_0", "--run", str(words), "--out", str(tmp_path / "p.png")]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert expected in err
    assert not (tmp_path / "p.png").exists()
