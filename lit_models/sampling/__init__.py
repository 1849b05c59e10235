"""Where codes come from when a model is sampled."""
