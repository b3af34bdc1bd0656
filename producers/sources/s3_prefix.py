"""Lists an S3 prefix: one request per image, by ending, in order of keys; other objects are skipped and counted.

The first bytes of an object whose key has no ending are read: a request for each. The product id comes from the key,
after the last slash of the prefix (producers/sources/product_rule.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.image_files import Skipped, is_image
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.product_rule import check_rule, product_of
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.image_formats import START_BYTES

SCHEME = "s3://"


class S3Prefix:
    """Lists pages of 1000 keys. An overwritten object counts as a changed one, by its ETag."""

    def __init__(self, uri: str, s3: S3Settings, product_from: str = "parent", client: Any = None) -> None:
        check_rule(product_from)
        self._bucket, _, self._prefix = uri.removeprefix(SCHEME).partition("/")
        if not self._bucket:
            raise SourceError("write s3://bucket/prefix")
        self.location = f"{s3.endpoint_url or SCHEME}|{self._bucket}/{self._prefix}"
        self.size: int | None = None
        self.skipped = Skipped()
        self._product_from = product_from
        self._client = client or _client(s3)

    def items(self) -> Iterator[Item]:
        for entry in self._entries():
            key: str = entry["Key"]
            is_folder = key.endswith("/") and not entry["Size"]  # consoles make such an object for a folder
            if not is_folder and is_image(key, partial(self._start, key), self.skipped):
                yield self._item(entry)

    def _entries(self) -> Iterator[dict[str, Any]]:
        from botocore.exceptions import BotoCoreError, ClientError

        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        try:
            for page in pages:
                yield from page.get("Contents", [])
        except ClientError as error:
            raise SourceError(f"can't list {SCHEME}{self._bucket}/{self._prefix}: {_code(error)}") from None
        except BotoCoreError as error:
            raise SourceError(f"can't reach the object store: {error}") from None

    def _start(self, key: str) -> bytes:
        """Return the first bytes of an object; none of one that is empty or that this account may not read."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes=0-{START_BYTES - 1}")
            with closing(found["Body"]) as body:
                return bytes(body.read(START_BYTES))
        except ClientError:
            return b""
        except BotoCoreError as error:
            raise SourceError(f"can't reach the object store: {error}") from None

    def _item(self, entry: dict[str, Any]) -> Item:
        key = entry["Key"]
        raw = f"{key}\0{entry['ETag']}\0{entry['Size']}".encode()
        try:
            product = product_of(key[self._prefix.rfind("/") + 1 :], self._product_from)
        except ValueError as error:
            return Item(key, raw, problem=str(error))
        return Item(key, raw, {"image": {"uri": f"{SCHEME}{self._bucket}/{key}"}, "product_id": product})


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown error"))


def _client(s3: S3Settings) -> Any:
    try:
        from sightstream.schemas.connections.s3_client import s3_client
    except ImportError:
        raise SourceError("listing S3 needs boto3: install sightstream[s3]") from None
    return s3_client(s3, retries={"total_max_attempts": 5, "mode": "standard"})
