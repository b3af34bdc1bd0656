"""What can be said of an image's address: presigned queries and user info are secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

HIDDEN = "[hidden]"


def redacted(uri: str) -> str:
    """`uri` without user info, query and fragment; HIDDEN when it can't be taken apart. Never raises."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}{port}{parts.path}" if parts.scheme else HIDDEN


def origin(uri: str) -> str:
    """Where the image comes from, as far as outages go: "s3" for every bucket, else the host. Never raises."""
    try:
        parts = urlsplit(uri)
        return "s3" if parts.scheme == "s3" else parts.hostname or parts.scheme
    except ValueError:
        return ""
