"""Cells: trainings that experiments share. Each is run once, kept, scored where asked, and found again by its settings."""
