"""Publishes requests to Kafka: the client that a shop embeds, and bulk sources. Never loads torch."""
