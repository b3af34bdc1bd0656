"""The etag and the content hash that each URL had when it was last fetched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.request import ImageRef

MAX_ETAG_CHARS = 256  # S3's have 34 or a little more; a host that sends long ones would fill the memory


@dataclass(frozen=True, slots=True)
class KnownEtag:
    """The bytes that the store calls `etag` have this sha256."""

    etag: str
    sha256: str


class EtagMemory:
    """Keeps the `max_images` images used last. Thread safe. URLs may be presigned, so only their digests are kept."""

    def __init__(self, max_images: int) -> None:
        self._max_images = max_images
        self._images: OrderedDict[bytes, KnownEtag] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, image: ImageRef, fetched: FetchedImage) -> None:
        """Replace what was known of the URL. A weak etag (RFC 9110, 8.8.1) is not kept: its bytes may differ."""
        digest = _url_digest(image)
        with self._lock:
            self._images.pop(digest, None)
            if fetched.etag and len(fetched.etag) <= MAX_ETAG_CHARS and not fetched.etag.startswith("W/"):
                self._images[digest] = KnownEtag(fetched.etag, fetched.sha256)
            if len(self._images) > self._max_images:
                self._images.popitem(last=False)

    def get(self, image: ImageRef) -> KnownEtag | None:
        digest = _url_digest(image)
        with self._lock:
            known = self._images.get(digest)
            if known is not None:
                self._images.move_to_end(digest)
            return known


def _url_digest(image: ImageRef) -> bytes:
    return hashlib.sha256(json.dumps([image.uri, image.version_id]).encode("ascii")).digest()
