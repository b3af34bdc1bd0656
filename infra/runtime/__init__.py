"""Runs a real Apache Kafka and a real S3 as supervised child processes of the process that needs them."""
