"""How fast images get from a topic to committed results when the model costs nothing, beside other ways to do it."""
