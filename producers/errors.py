"""Lists everything that can go wrong while publishing. Each message says what to do; no error is ever swallowed.

PublishError
├── RequestTooLarge, RequestRefused,
│   BufferFull, PublisherClosed                       nothing was sent
├── NotDelivered, DeliveryError                       sent, and never confirmed
├── BrokerUnreachable                                 no broker answers, or it refuses us
├── TopicMismatch                                     the topic does not fit the settings
├── SourceError                                       a bulk source can't be read
│   └── SourceChanged
├── BadItem                                           one entry of a bulk source is no request
├── TaskError                                         a task file can't be used
├── Superseded, Stopped, InDoubt                      how a bulk run ends early
└── UploadRefused                                     no upload URL is signed
"""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


class PublishError(Exception):
    """Publishing did not do what was asked; the base of every error below."""


class RequestTooLarge(PublishError):
    """The encoded request is over the size limit; nothing was sent. Shorten it."""


class RequestRefused(PublishError):
    """The request asks for too much, or in a schema that cannot be used; nothing was sent.

    Every worker would end it as a dead letter. The message names the place in the request and what to change there.
    """


class BufferFull(PublishError):
    """The buffer stayed full for too long; nothing was sent. Publish this request again later."""


class PublisherClosed(PublishError):
    """The publisher is closed or was never opened; nothing was sent."""


class BrokerUnreachable(PublishError):
    """No broker answered in time, or it refused our credentials. Nothing was sent."""


class TopicMismatch(PublishError):
    """The topic is missing or has another number of partitions than configured. Correct one of the two."""


class NotDelivered(PublishError):
    """The broker never confirmed this record: publish the request again.

    If the record did arrive, the request is answered twice, under the same `request_id`.
    """

    def __init__(self, request_id: str, reason: str) -> None:
        super().__init__(f"{request_id}: {reason}")
        self.request_id = request_id
        self.reason = reason


class DeliveryError(PublishError):
    """`count` records were not delivered; `first` are the earliest of them."""

    def __init__(self, count: int, first: Sequence[NotDelivered]) -> None:
        shown = "; ".join(str(failure) for failure in first[:SHOWN])
        super().__init__(f"{count} records were not delivered, publish them again: {shown}")
        self.count = count
        self.first = tuple(first)


class SourceError(PublishError):
    """The source can't be read at all, or its layout is wrong."""


class SourceChanged(SourceError):
    """The beginning of the source is no longer what was published."""


class BadItem(PublishError):
    """One entry of a source is no valid request; the others still are published."""


class TaskError(PublishError):
    """A task file can't be used; the message names the file, the line or the key, and what to change."""


class Superseded(PublishError):
    """Another run publishes the same source to the same topic; this one stops. Exactly once still holds."""


class Stopped(PublishError):
    """The run was asked to stop and did so between two batches; the next run continues there."""


class InDoubt(PublishError):
    """Nobody knows yet whether a transaction was committed. Reconnect, which decides it, and read the progress."""


class UploadRefused(PublishError):
    """No URL is signed for this upload; the message says what to change."""
