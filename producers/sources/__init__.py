"""The bulk sources: a CSV file, a JSONL file, a folder, an S3 prefix. Each streams, in an order that repeats."""
