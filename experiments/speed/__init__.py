"""How fast, and with how much memory: each figure as a ratio within one run, since machines differ and are busy."""
