"""Holds everything around the pipeline: command line, local runtime, dashboards, demo and benchmarks."""
