"""Measures the worker between topic and engine: one image alone, full slots, and the processor time of an image."""
