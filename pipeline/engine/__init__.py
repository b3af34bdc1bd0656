"""Pixels and a question become text, in a child process that owns the GPU and may die."""
