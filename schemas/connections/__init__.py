"""Settings and clients for the Kafka broker and the object store, which every package shares."""
