"""A study: the shipped models trained alike, measured alike and shown on one page."""
