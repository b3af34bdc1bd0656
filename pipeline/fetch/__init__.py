"""A reference becomes bytes, under caps of size and time."""
