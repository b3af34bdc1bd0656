"""Lag: how far each consumer group is behind, in records and in seconds, against the last stable offset."""
