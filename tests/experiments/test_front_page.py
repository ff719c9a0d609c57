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
    run = write_generator(tmp_path / "run", base_width=2, depth=2, modulate="all")
    out = tmp_path / "first.png"
    words = ["picture", "--run", str(run), "--data", str(data.path), "--tiles", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    picture.main()
    with Image.open(out) as drawn:
        assert drawn.width > 4.9 * picture.SIDE * 120 > drawn.height  # five panels in one line

    monkeypatch.setattr(sys, "argv", [str(tmp_path / "no-run") if word == str(run) else word for word in words])
    with pytest.raises(InputError, match="no-run"):
        picture.main()


def test_filled_clouds_stand_between_the_clouded_image_and_the_real_one(tmp_path, monkeypatch):
    run = write_generator(tmp_path / "run", base_width=2, depth=2, modulate="all")
    out = tmp_path / "filled.png"
    monkeypatch.setattr(filled_picture, "SCENE_SIZE", 128)
    words = ["picture", "--run", str(run), "--tiles", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    filled_picture.main()
    with Image.open(out) as drawn:
        assert drawn.width > 5.9 * filled_picture.SIDE * 120 > drawn.height  # six panels in one line

    monkeypatch.setattr(sys, "argv", [str(tmp_path / "no-run") if word == str(run) else word for word in words])
    with pytest.raises(SystemExit, match="failed"):
        filled_picture.main()
