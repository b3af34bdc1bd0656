"""Image in, structured answer out; knows no Kafka."""
