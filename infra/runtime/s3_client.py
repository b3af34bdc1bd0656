"""A boto3 client from our settings."""

from __future__ import annotations

from typing import Any

from sightstream.schemas.s3 import S3Settings


def s3_client(settings: S3Settings, **options: Any) -> Any:
    """A thread-safe S3 client; `options` go to botocore's Config."""
    return settings.session_client(signature_version="s3v4", **options)
