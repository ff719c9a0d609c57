"""Readers of public datasets, behind one small interface."""
