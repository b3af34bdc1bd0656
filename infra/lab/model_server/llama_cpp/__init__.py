"""Runs in an environment of its own: what writes a model for llama.cpp, and what serves it."""
