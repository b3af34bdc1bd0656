"""Decodes image files to RGB pixels, in child processes that a hostile file may crash."""
