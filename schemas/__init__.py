"""The records on the wire (`wire`), the way to the broker and to the object store (`connections`), and `published`.

Imports none of the other packages, and nothing heavier than pydantic until an S3 client is asked for.
"""
