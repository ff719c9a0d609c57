"""The pure functions that a run is made of."""

import json
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsspade.config import DiscriminatorOptions, GeneratorOptions, TrainingConfig
from rsspade.data.sampling import TileSampler
from rsspade.models import DiscriminatorConfig, GeneratorConfig
from rsspade.options import read_options
from rsspade.sources import CONDITIONS
from rsspade.training import batches
from rsspade.training.batches import Share, StepSampler, hidden_moments, hidden_sources
from rsspade.training.ema import Average
from rsspade.training.record import Meter
from rsspade.training.schedule import learning_rate
from rsspade.training.steps import total


def test_the_options_have_the_networks_own_defaults():
    network = GeneratorConfig(sources={"s1": 2}, optical_bands=("red",))
    newer = {"variety_width", "edges"}  # old folders do not name them, and have none, and zeros
    own = [f.name for f in fields(GeneratorOptions) if f.name not in newer]
    assert all(getattr(network, name) == getattr(GeneratorOptions(), name) for name in own)
    judge = DiscriminatorConfig(condition_channels=1, optical_channels=1)
    assert all(getattr(judge, f.name) == getattr(DiscriminatorOptions(), f.name) for f in fields(DiscriminatorOptions))


@given(
    tiles=st.integers(1, 13), size=st.integers(1, 3), processes=st.integers(1, 3), accumulate=st.integers(1, 3),
    first=st.integers(0, 5), length=st.integers(0, 5),
)  # fmt: skip
def test_processes_and_micro_batches_share_each_batch_and_leave_no_tile_out(
    tiles, size, processes, accumulate, first, length
):
    batch_size = size * processes * accumulate
    whole = list(StepSampler(TileSampler(tiles, seed=3), Share(batch_size=batch_size), first=0, last=first + length))
    row = [draw for batch in whole for draw in batch]
    for epoch in range(len(row) // tiles):
        assert sorted(d.tile for d in row[epoch * tiles : (epoch + 1) * tiles]) == list(range(tiles))
    parts = []
    for rank in range(processes):
        share = Share(batch_size=batch_size, rank=rank, processes=processes, accumulate=accumulate)
        parts.append(list(StepSampler(TileSampler(tiles, seed=3), share, first=first, last=first + length)))
        assert len(parts[-1]) == length * accumulate
    for n, batch in enumerate(whole[first:]):
        micro_batches = [
            parts[rank][n * accumulate + micro] for micro in range(accumulate) for rank in range(processes)
        ]
        assert [draw for part in micro_batches for draw in part] == batch


@given(
    step=st.integers(0, 10**6), sources=st.sampled_from([("s1",), ("s1", "dem"), CONDITIONS]), share=st.floats(0, 0.99)
)
def test_hidden_sources_follow_from_the_step_and_leave_one(step, sources, share):
    hidden = hidden_sources(step, batch_size=64, sources=sources, seed=1, share=share)
    assert not hidden.all(axis=1).any()
    again = hidden_sources(step, batch_size=64, sources=sources, seed=1, share=share)
    np.testing.assert_array_equal(hidden, again)


def test_each_source_is_hidden_as_often_as_asked():
    hidden = hidden_sources(0, batch_size=20000, sources=CONDITIONS, seed=0, share=0.25)
    assert hidden.mean(axis=0) == pytest.approx(np.full(3, 0.25 - 0.25**3 / 3), abs=0.01)


def test_each_subset_is_shown_as_often_as_asked_and_no_other():
    asked = {("s1", "lulc", "dem"): 0.5, ("s1",): 0.375, ("lulc", "dem"): 0.125}
    hidden = hidden_sources(3, batch_size=20000, sources=CONDITIONS, seed=0, share=0.25, subsets=asked)
    shown, counts = np.unique(~hidden, axis=0, return_counts=True)
    found = {tuple(np.array(CONDITIONS)[row]): n / len(hidden) for row, n in zip(shown, counts, strict=True)}
    assert found == pytest.approx(asked, abs=0.02)


def test_the_moment_is_hidden_as_often_as_asked_and_by_draws_of_its_own():
    hidden = hidden_moments(7, batch_size=20000, seed=0, share=0.25)
    np.testing.assert_array_equal(hidden, hidden_moments(7, batch_size=20000, seed=0, share=0.25))
    assert hidden.mean() == pytest.approx(0.25, abs=0.01)
    of_sources = np.random.default_rng([batches._DROPOUT, 0, 7]).random(20000) < 0.25
    assert np.mean(hidden & of_sources) == pytest.approx(0.25**2, abs=0.01)
    assert not hidden_moments(7, batch_size=64, seed=0, share=0.0).any()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {0: 0.25, 3: 1, 4: 1, 103: 1}),
        ("linear", {0: 0.25, 4: 1, 54: 0.5, 103: 0.01}),
        ("cosine", {4: 1, 54: 0.5, 29: 0.8536}),
    ],
)
def test_the_learning_rate_is_a_function_of_the_step(schedule, expected):
    words = ["--data", "d", "--out", "o", "--steps", "104", "--lr", "1", "--optimizer.warmup", "4"]
    config = read_options(TrainingConfig, [*words, "--optimizer.schedule", schedule])
    assert {step: learning_rate(step, config) for step in expected} == pytest.approx(expected, abs=1e-4)


def test_the_average_follows_slowly_and_copies_statistics():
    model = torch.nn.BatchNorm1d(2)
    average = Average(model, 0.9)
    torch.nn.init.constant_(model.weight, 3.0)
    model.running_mean.fill_(5.0)
    average.update(model, 10**6)
    assert average.model.weight.tolist() == pytest.approx([1.2, 1.2])
    assert average.model.running_mean.tolist() == [5.0, 5.0]
    assert not average.model.training


def test_losses_since_the_last_line_go_on_in_each_process_where_they_were():
    first, second = (Meter(torch.device("cpu"), rank=rank, processes=2) for rank in range(2))
    first.add({"l1": torch.tensor(0.1), "ssim": torch.tensor(0.7)})
    second.add({"l1": torch.tensor(0.3), "ssim": torch.tensor(0.2)})
    both = SimpleNamespace(gather=lambda _: torch.cat([first._sums, second._sums]))
    state = json.loads(json.dumps(first.state(both)))
    for meter in (first, second):
        again = Meter(torch.device("cpu"), rank=meter.rank, processes=2)
        again.load(state)
        assert torch.equal(again._sums, meter._sums)
        assert again.state() == meter.state()
    alone = Meter(torch.device("cpu"))
    alone.load(state)
    assert alone.state()["sums"] == pytest.approx([0.2, 0.45])
    alone.load(first.state())
    assert alone.state() == first.state()


def test_a_loss_that_is_not_finite_spoils_every_gradient():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    total({"a": x[0] * 2, "b": x[1] * 3}).backward()
    assert x.grad.tolist() == [2, 3]
    x.grad = None
    total({"a": x[0] * 2, "b": x[1] * 0 + torch.inf}).backward()
    assert x.grad.isnan().all()
