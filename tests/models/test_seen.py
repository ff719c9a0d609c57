"""What a generator was given, against what its training showed it: told where it is far from that, and only there."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsspade.channels import num_channels
from rsspade.errors import RSSpadeWarning
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator
from rsspade.models.seen import Seen, seen_ranges

TRAINED = {"seen": {"dem": {"elevation": [0.0, 16.0], "slope": [0.0, 30.0]}}}


def relief(elevation):
    dem = torch.full((1, 4, 64, 64), 10.0)
    dem[:, 0] = torch.as_tensor(elevation)
    return dem


def model_of(training):
    architecture = GeneratorConfig(
        sources={"dem": num_channels("dem", scheme=scheme_named("dynamic_world"))}, optical_bands=("red",), base_width=4, depth=3,
    )  # fmt: skip
    return RSSpade(build_generator(architecture), GeneratorInfo(architecture=architecture, training=training)).eval()


def test_hills_are_told_to_a_generator_of_the_coast():
    model = model_of(TRAINED)
    for height in (100.0, 249.0, 8.0):
        model({"dem": relief(height)})
    with pytest.warns(RSSpadeWarning) as told:
        model.warn_of_unseen()
    (text,) = (str(warning.message) for warning in told)  # of the slope there is nothing to say
    assert text.startswith("elevation: 67% of the pixels lie outside of 0 … 16 m, ")
    assert "(here 8 … 249 m)" in text


@pytest.mark.parametrize(
    "training",
    [TRAINED, {}, {"seen": None}, {"seen": {"dem": {"elevation": ["low", 3], "slope": [0, 10**400]}, "moon": {}}}],
)
def test_what_training_held_is_no_news_and_old_or_foreign_summaries_are_silent(training):
    model = model_of(training)
    model({"dem": relief(8.0 if training is TRAINED else 5000.0)})
    assert model.seen.sentences() == []


def test_pixels_without_data_do_not_count():
    elevation = np.full((64, 64), 8.0)
    elevation[:40] = np.nan
    model = model_of(TRAINED)
    model({"dem": relief(elevation)})
    model({"dem": relief(np.full((64, 64), 999.0))}, valid={"dem": torch.zeros(1, 64, 64, dtype=torch.bool)})
    assert model.seen.sentences() == []


def test_a_little_beyond_the_ends_is_no_news():
    model = model_of(TRAINED)
    model({"dem": relief(17.5)})
    assert model.seen.sentences() == []
    model({"dem": relief(17.7)})
    assert len(model.seen.sentences()) == 1


@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), cut=st.integers(0, 40))
def test_it_does_not_matter_how_the_pixels_come(values, cut):
    def told(*parts):
        seen = Seen(TRAINED)
        for part in parts:
            plane = torch.zeros(1, 4, 1, len(part))
            plane[0, 0, 0] = torch.tensor(part)
            seen.add("dem", plane, torch.ones(1, 1, len(part), dtype=torch.bool))
        return seen.sentences()

    low, high = (float(np.float32(end)) for end in (-1.6, 17.6))
    outside = np.mean([not low <= value <= high for value in values])
    assert bool(told(values)) == (outside > 0.05)
    assert told(*(part for part in (values[:cut], values[cut:]) if part)) == told(values)


def test_processes_tell_together_what_each_has_seen():
    class Two:
        num_processes, device = 2, torch.device("cpu")

        def gather(self, rows):
            hills = rows.clone()
            hills[:, 0] = torch.tensor([3 * 64 * 64, 3 * 64 * 64, 100.0, 249.0], dtype=rows.dtype)
            return torch.cat([rows, hills])

    model_of({}).seen.gather(Two())  # an old one has nothing to tell
    model = model_of(TRAINED)
    model({"dem": relief(8.0)})
    model.seen.gather(Two())
    (sentence,) = model.seen.sentences()
    assert "75% of the pixels" in sentence
    assert "(here 8 … 249 m)" in sentence


SOURCES = ("s1", "lulc", "dem")


def shown(seen, **present):
    """Count images: source -> whether each has it."""
    seen.add_images({name: torch.tensor(here) for name, here in present.items()})
    return seen.sentences()


@pytest.mark.parametrize(
    ("training", "found"),
    [
        ({"source_dropout": 0.0}, ("s1 (1 of 4 images), s1+lulc (2 of 4 images)", "s1+lulc+dem only")),
        ({"source_dropout": 0.25, "subsets": ["dem+lulc+s1:3", "s1"]}, ("s1+lulc (2 of 4 images)", "s1, s1+lulc+dem only")),
    ],
)  # fmt: skip
def test_sources_that_were_never_seen_together_are_told(training, found):
    seen = Seen(training, SOURCES)
    assert shown(seen, dem=[True], s1=[True], lulc=[True]) == []
    (text,) = shown(seen, s1=[True, True, True], lulc=[True, False, True])
    assert text.startswith(f"sources: made from {found[0]}, but ")
    assert f"trained to see {found[1]}: " in text


@pytest.mark.parametrize(
    "training",
    [
        {"source_dropout": 0.25}, {"source_dropout": 0.25, "subsets": None}, {"source_dropout": "none"}, {"subsets": 7}, {"subsets": ["moon"]},
        {"source_dropout": 0.0, "subsets": ["lulc", "s1"]},
    ],
)  # fmt: skip
def test_sources_that_chance_may_have_shown_are_no_news_nor_is_an_image_of_nothing(training):
    seen = Seen(training, SOURCES)
    assert shown(seen, s1=[True, False], lulc=[False, False]) == []


def test_without_its_sources_combinations_are_not_judged():
    assert shown(Seen({"source_dropout": 0.0}), s1=[True]) == []


@pytest.mark.timeout(10)
def test_a_foreign_description_with_many_sources_takes_no_memory():
    seen = Seen({"source_dropout": 0.0}, tuple(f"s{n}" for n in range(64)))
    assert shown(seen, s1=[True]) == []


def test_a_rare_combination_is_no_news():
    seen = Seen({"source_dropout": 0}, ("s1", "dem"))
    assert shown(seen, s1=[True] * 20, dem=[True] * 19 + [False]) == []
    assert len(shown(seen, s1=[True])) == 1


def test_a_generator_tells_of_sources_that_it_never_saw_alone():
    architecture = GeneratorConfig(
        sources={name: num_channels(name, scheme=scheme_named("dynamic_world")) for name in ("s1", "dem")}, optical_bands=("red",),
        base_width=4, depth=3,
    )  # fmt: skip
    info = GeneratorInfo(architecture=architecture, training={"source_dropout": 0.0})
    model = RSSpade(build_generator(architecture), info).eval()
    model({"dem": relief(8.0), "s1": torch.zeros(1, 2, 64, 64)})
    assert model.seen.sentences() == []
    model({"dem": relief(8.0), "s1": torch.full((1, 2, 64, 64), float("nan"))})
    (text,) = model.seen.sentences()
    assert "made from dem (1 of 2 images)" in text


def test_processes_tell_together_which_sources_were_there():
    class Two:
        num_processes, device = 2, torch.device("cpu")

        def gather(self, rows):
            return torch.cat([rows, torch.tensor([[0, 3, 0, 1]])])

    seen = Seen({"source_dropout": 0.0}, ("s1", "dem"))
    shown(seen, s1=[True], dem=[True])
    seen.gather(Two())
    (text,) = seen.sentences()
    assert "made from dem (3 of 5 images)" in text


def test_ranges_are_those_of_the_train_split_and_of_the_sources_used():
    elevation, slope = {"min": -1.23456789, "max": 9.0}, {"min": None}
    statistics = {"DEM": {"elevation": elevation, "slope": slope, "aspect": {"min": -1, "max": 359}}, "LULC": {"1": 7}}
    assert seen_ranges(statistics, ("lulc", "dem")) == {"dem": {"elevation": [-1.23457, 9.0]}}
    assert seen_ranges(statistics, ("lulc",)) == seen_ranges({"DEM": None}, ("dem",)) == {}
