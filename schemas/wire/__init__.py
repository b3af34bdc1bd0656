"""The records that travel through Kafka: their models, bytes, topics and published schemas."""
