"""Figures of a model while it learns, one a file."""
