"""Checkpoint files that are whole, and the models in them."""
