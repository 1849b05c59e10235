"""A page that runs a trained decoder in the browser: the map of codes, and all that can be done with a code."""
