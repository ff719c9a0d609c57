"""Tables and charts: what is marked, how it is ordered, what is drawn."""

import pytest

from rsspade.report.charts import class_chart, history_chart, scale_chart
from rsspade.report.tables import Answered, score_table, value_of

RUNS = [Answered("r0", "one", "run1", True), Answered("r1", "two", "run2", True)]
FLOOR = Answered("class_mean", "class mean", "floor", False)


def marks(measure, **scores):
    answers = [a for a in (*RUNS, FLOOR) if a.key in scores]
    table = score_table("", "", answers, [("x", "", {k: {measure: v} for k, v in scores.items()})], measures=(measure,))
    return [cell.mark for cell in table.rows[0].cells]


@pytest.mark.parametrize(("measure", "better", "worse"), [("psnr", 30.0, 20.0), ("rmse", 0.1, 0.2)])
def test_the_best_run_is_marked_and_so_is_one_that_a_colour_table_beats(measure, better, worse):
    middle = (better + worse) / 2
    assert marks(measure, r0=better, r1=worse) == ["best", ""]
    assert marks(measure, r0=better, r1=worse, class_mean=middle) == ["best", "worse", ""]
    assert marks(measure, r0=worse, class_mean=middle) == ["worse", ""]
    assert marks(measure, r0=better, class_mean=middle) == ["", ""]
    assert marks(measure, r0=better, r1=None, class_mean=None) == ["", "", ""]


def test_what_is_undefined_is_a_dash_that_sorts_last():
    table = score_table("", "", RUNS, [("x", "", {"r0": None, "r1": {"psnr": 1.0}})], measures=("psnr",))
    assert [(c.text, c.sort) for c in table.rows[0].cells] == [("–", ""), ("1.00", 1.0)]


def test_degrees_come_from_radians_where_they_are_missing():
    assert value_of({"sam_rad": 3.14159265}, "sam_deg") == pytest.approx(180)
    assert value_of({"sam_rad": None}, "sam_deg") is None


def test_a_chart_of_a_long_run_stays_small_and_ends_where_the_run_ends():
    points = [(n, 1 / n) for n in range(1, 50_001)]
    chart = history_chart("l1", {"a": ("run1", points)}, best={}, last_step=50_000)
    drawn = chart.curves[0].points.split()
    assert len(drawn) <= 301
    assert float(drawn[-1].split(",")[0]) == pytest.approx(chart.right, abs=0.2)
    assert all(0 <= float(p.split(",")[1]) <= chart.height for p in drawn)


@pytest.mark.parametrize("points", [[(5, 2.0)], [(0, 0.0), (1, 0.0)], [(1, -1e9), (2, 1e9)]])
def test_a_chart_of_little_or_much_is_drawn_inside_its_frame(points):
    chart = history_chart("l1", {"a": ("run1", points)}, best={"a": points[0][0]}, last_step=points[-1][0])
    places = [tuple(map(float, p.split(","))) for p in chart.curves[0].points.split()]
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in places)
    assert chart.curves[0].dots


def test_on_a_scale_better_is_to_the_right_whatever_the_measure():
    for higher, (good, bad) in ((True, (30.0, 20.0)), (False, (1.0, 2.0))):
        scale = scale_chart("x", [("a", "run1", bad), ("b", "run2", good)], higher_is_better=higher, shown="{:.1f}")
        (_, _, _, x_bad, _), (_, _, _, x_good, _) = scale.marks
        assert scale.left < x_bad < x_good < scale.right


def test_a_class_chart_says_in_words_what_it_draws():
    chart = class_chart(
        "water", ["blue", "nir"], {"real": ("truth", [0.1, 0.2], [0.01, 0.02])}, highest=0.3, note="", swatch="#000000"
    )
    assert "real blue 0.100, nir 0.200" in chart.text
    assert len(chart.curves[0].band.split()) == 4
