"""Bytes become RGB pixels, in a child process that may die."""
