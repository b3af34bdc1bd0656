"""Measures what exactly once costs: the worker as it is beside the same worker with plain, at-least-once commits."""
