"""Measures lag: how far each consumer group is behind, in records and in seconds, up to the last stable offset.

In call order: reader.py reads groups and offsets through consumers/kafka, trend.py estimates when a queue is empty,
exporter.py shows the last reading to Prometheus. types.py holds the readings, settings.py the settings.
"""
