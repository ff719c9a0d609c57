"""Training of the generators: `loop.train` is the whole run in reading order, the other files are its parts."""
