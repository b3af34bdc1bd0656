"""Turns an image and a question into a structured answer. Knows no Kafka."""
