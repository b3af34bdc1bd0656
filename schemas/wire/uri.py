"""Describes image URIs without their secrets: presigned queries and user info."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

HIDDEN = "[hidden]"
S3_ADDRESS = re.compile(r"[sS]3://[A-Za-z0-9._-]+/.*", re.DOTALL)


def redacted(uri: str) -> str:
    """Return `uri` without user info, query and fragment, or HIDDEN when it can't be parsed. Never raises.

    An s3:// address stays as it is: its `?` and `#` belong to the key, and upper case to the bucket.
    """
    if S3_ADDRESS.fullmatch(uri):
        return uri
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}{port}{parts.path}" if parts.scheme else HIDDEN
