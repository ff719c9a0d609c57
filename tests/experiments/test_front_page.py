"""The pictures of the front page."""

import sys

import pytest
from PIL import Image

from experiments.demo import picture
from experiments.scene import picture as filled_picture
from experiments.scene.memory import write_generator
from rsspade.errors import InputError


def test_sources_synthetic_and_real_stand_side_by_side(make_dataset, tmp_path, monkeypatch):
    data = make_dataset(tmp_path / "data", scenes=4)
    assert panels_in_a_line(picture, tmp_path, monkeypatch, "--data", str(data.path)) == 5
    with pytest.raises(InputError, match="no-run"):
        panels_in_a_line(picture, tmp_path, monkeypatch, "--data", str(data.path), run="no-run")


def test_filled_clouds_stand_between_the_clouded_image_and_the_real_one(tmp_path, monkeypatch):
    monkeypatch.setattr(filled_picture, "SCENE_SIZE", 128)
    assert panels_in_a_line(filled_picture, tmp_path, monkeypatch) == 6
    with pytest.raises(SystemExit, match="failed"):
        panels_in_a_line(filled_picture, tmp_path, monkeypatch, run="no-run")


def panels_in_a_line(module, folder, monkeypatch, *words, run="run"):
    """How many panels the picture of one tile, which is one line, is wide."""
    write_generator(folder / "run", base_width=2, depth=2, modulate="all")
    out = folder / "picture.png"
    named = ["--run", str(folder / run), "--tiles", "1", "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", ["picture", *named])
    module.main()
    with Image.open(out) as drawn:
        assert drawn.height < drawn.width
        return int(drawn.width / (module.SIDE * 120))
