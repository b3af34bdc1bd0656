"""What lay at an address when it was last fetched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.request import ImageRef


@dataclass(frozen=True, slots=True)
class KnownEtag:
    """The bytes that the store calls `etag` have this sha256."""

    etag: str
    sha256: str


MAX_ETAG_CHARS = 256  # S3's have 34 or a little more; a host that sends long ones would fill the memory


class EtagMemory:
    """The `most` images used last. Thread safe. Addresses may be presigned, so only their digests are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._images: OrderedDict[bytes, KnownEtag] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, image: ImageRef, fetched: FetchedImage) -> None:
        """A weak etag (RFC 9110, 8.8.1) names bytes that may differ: it is not kept."""
        place = _place(image)
        with self._lock:
            self._images.pop(place, None)
            if fetched.etag and len(fetched.etag) <= MAX_ETAG_CHARS and not fetched.etag.startswith("W/"):
                self._images[place] = KnownEtag(fetched.etag, fetched.sha256)
            if len(self._images) > self._most:
                self._images.popitem(last=False)

    def recall(self, image: ImageRef) -> KnownEtag | None:
        place = _place(image)
        with self._lock:
            found = self._images.get(place)
            if found is not None:
                self._images.move_to_end(place)
            return found


def _place(image: ImageRef) -> bytes:
    return hashlib.sha256(json.dumps([image.uri, image.version_id]).encode("ascii")).digest()
