"""Second opinion on the built-in world: its statistics beside those of real tiles."""
