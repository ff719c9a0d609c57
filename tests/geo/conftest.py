"""Fixtures for the tests of `prepare`."""

from scene_files import make_scene_files

__all__ = ["make_scene_files"]
