"""The main job, end to end, on the built-in world."""
