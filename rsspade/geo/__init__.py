"""Rasters on the ground: one common grid, units, terrain derivatives, and `rsspade prepare`."""
