"""Generators on the few real tiles of a TerraMesh-style folder, with and without weights from the built-in world."""
