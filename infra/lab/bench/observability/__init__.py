"""Measures the processor time that metrics and traces cost for a request, in pairs of runs with and without them."""
