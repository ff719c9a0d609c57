"""The built-in world: made landscapes in which every source is known, and so is the best possible answer."""
