"""Continuous batching: answers of many requests are written side by side, each in its slot."""
