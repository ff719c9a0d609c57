"""Learning to draw: it costs the deterministic image nothing, and the draws come to tell what is not known."""

import torch
from safetensors.torch import load_file
from tiny_runs import arguments

from rsspade.config import TrainingConfig
from rsspade.options import read_options
from rsspade.training import loop
from rsspade.training.state import find_checkpoints
from rsspade.training.variety import step_noise


def noise(step=3, positions=range(4), size=(64, 96)):
    return step_noise(1, step, positions, size, depth=3, device=torch.device("cpu"))


def test_the_noise_of_a_sample_does_not_depend_on_who_has_it():
    whole, part = noise(), noise(positions=range(2, 4))
    assert whole.corner == part.corner
    assert whole.size == (21, 32)
    for mine, theirs in zip(whole.draws, part.draws, strict=True):
        assert torch.equal(mine[2:], theirs)
    assert not torch.equal(next(iter(noise(step=4).draws)), next(iter(whole.draws)))


def test_the_window_lies_in_the_image_and_moves():
    corners = {noise(step=step, positions=range(1)).corner for step in range(20)}
    assert len(corners) > 10
    assert all(0 <= row <= 43 and 0 <= column <= 64 for row, column in corners)


def test_all_other_weights_move_as_they_would_without_the_head(dataset, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for width in (0, 4):
        options = {"steps": 2, "save_every": 2, "generator__variety_width": width, "optimizer__clip_norm": 0.1}
        loop.train(read_options(TrainingConfig, arguments(dataset, tmp_path / str(width), **options)))
    torch.set_num_threads(threads)
    for part in ("generator", "discriminator", "average"):
        without, within = (
            load_file(find_checkpoints(tmp_path / name / "checkpoints")[0] / f"{part}.safetensors") for name in "04"
        )
        assert all(torch.equal(within[name], value) for name, value in without.items())
        assert len(within) == len(without) + (0 if part == "discriminator" else 5)
