"""Reads s3:// from S3, MinIO, SeaweedFS and other stores with S3's API.

A GET passes through these files in this order:

    source.py       `S3Source.read` picks the client: obstore, or boto3 for objects that obstore cannot request
    url.py          parses s3://bucket/key; refuses ambiguous keys and buckets that are not allowed
    ../limiter.py   waits until the store's concurrency limit admits one more request
    stores.py       keeps obstore's clients and gives them credentials
    boto.py         reads through boto3: keys with empty segments, buckets of another region
    errors.py       classifies the store's errors: transient, final, or for an operator to fix
"""
