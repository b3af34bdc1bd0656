"""The local runtime: a real Apache Kafka and a real S3 as supervised child processes of whoever needs them."""
