"""The built-in world: procedural, deterministic landscapes with radar, optics, land cover and elevation."""
