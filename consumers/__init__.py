"""Reads Kafka: the worker, the store, the look-up, lag."""
