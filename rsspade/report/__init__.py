"""Pictures of tiles and datasets."""
