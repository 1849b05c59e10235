"""A study trains the shipped models under the same budget, measures them in the same way, and shows them on one page."""
