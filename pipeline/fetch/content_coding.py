"""Tells which values of a Content-Encoding header mean that the bytes are compressed."""

from __future__ import annotations

from sightstream.pipeline.fetch.errors import rejected
from sightstream.schemas.wire.dead_letter import Reason

_COMPRESSED = {
    *("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"),
    *("bzip2", "xz", "lzma", "sdch", "exi", "pack200-gzip"),
}


def check_coding(content_encoding: str) -> None:
    """Raise Rejected, with the coding's name, if the bytes are compressed.

    Other values, such as `identity`, `aws-chunked` or `utf-8`, are notes about the upload: the bytes are as they were.
    """
    codings = {coding.strip(" \t").lower() for coding in content_encoding.split(",")}
    for coding in sorted(codings & _COMPRESSED):
        raise rejected(Reason.FETCH_REFUSED, f"the image was sent compressed with {coding}, which was not asked for")
