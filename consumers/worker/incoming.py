"""Turns a record of the request topic into a delivery, and says why one that can't be a request is rejected."""

from __future__ import annotations

from confluent_kafka import Message

from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.records import MAX_KEPT_BYTES
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.in_flight import CLOCKS
from sightstream.pipeline.internal_errors import attempt
from sightstream.pipeline.known_good import known_good_request
from sightstream.schemas.wire.codec import (
    MAX_REQUEST_BYTES,
    WireError,
    check_headers,
    decode_request,
    describe_excess,
    encode,
)
from sightstream.schemas.wire.dead_letter import Headers, Reason, RecordId, Stage, omitted_headers
from sightstream.schemas.wire.record_size import record_bytes
from sightstream.schemas.wire.redrive import history_headers
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.request_limits import check_limits
from sightstream.schemas.wire.unusable_request import UnusableRequest

Incoming = tuple[Delivery, Rejected | None]

_BAD_HEADERS = Rejected(Reason.MALFORMED, Stage.TAKE, "a header's name is not UTF-8; the headers are left out here")


def read_message(message: Message) -> Incoming:
    """Return the delivery, and why it is rejected, if it is. Raises IncompleteMessage or Fatal."""
    return read_record(record_id(message), message.key(), message.value(), headers_of(message))


def read_record(at: RecordId, key: bytes | None, value: bytes | None, headers: Headers | None) -> Incoming:
    """Return the delivery of a record; its `headers` are None when a name is not UTF-8.

    Headers over the caps are left out, and so are key and value that a dead letter could not carry: a compressed record
    of a few kilobytes can expand to hundreds of megabytes, which must not stay until its outcome is committed.
    """
    problem = _BAD_HEADERS if headers is None else _check(headers)
    usable = headers or []
    delivery = Delivery(at, key, value, history_headers(usable) if problem else usable)
    if problem is None:
        problem = _check_size(value) or _decode(delivery)
    if record_bytes(key, value, delivery.headers) > MAX_KEPT_BYTES:
        delivery.omit(omitted_headers(key, value))
    return delivery, problem


def _check(headers: Headers) -> Rejected | None:
    try:
        check_headers(headers)
    except WireError as error:
        return Rejected(error.reason, Stage.TAKE, f"{error}; the headers are left out here")
    return None


def _check_size(value: bytes | None) -> Rejected | None:
    """Return the rejection without raising it: an exception would keep the bytes until they are collected."""
    size = len(value or b"")
    if size <= MAX_REQUEST_BYTES:
        return None
    return Rejected(Reason.REQUEST_TOO_LARGE, Stage.TAKE, describe_excess(size, MAX_REQUEST_BYTES))


def _decode(delivery: Delivery) -> Rejected | None:
    try:
        delivery.request = attempt(Stage.TAKE, lambda: _parse(delivery.value), _parse_known_good)
    except Rejected as error:
        return error
    return None


def _parse(value: bytes | None) -> ImageRequest:
    try:
        request = decode_request(value)
        check_limits(request)
    except (WireError, UnusableRequest) as error:
        raise Rejected(error.reason, Stage.TAKE, str(error)) from None
    return request


def _parse_known_good() -> None:
    _parse(encode(known_good_request(CLOCKS)))
