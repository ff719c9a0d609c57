"""Land cover from images: networks, training on real and synthetic tiles, scores and maps."""
