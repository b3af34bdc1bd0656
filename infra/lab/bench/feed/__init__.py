"""Measures how fast images get from a topic to committed results when the model costs nothing, beside other systems."""
