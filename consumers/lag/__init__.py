"""Measures lag: how far each consumer group is behind, in records and in seconds, up to the last stable offset.

In call order: reader.py reads groups and offsets through consumers/kafka, unfinished.py says which offsets are left
of a partition, counter.py how many of them are records, within a budget, and samples.py estimates the rest. progress.py
and trend.py measure rates, exporter.py shows the last reading to Prometheus. types.py holds the readings, settings.py
the settings.
"""
