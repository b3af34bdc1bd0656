"""What can go wrong while publishing. Each message says what to do; nothing here is ever swallowed."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


class PublishError(Exception):
    """Base of every error below: publishing did not do what was asked."""


class RequestTooLarge(PublishError):
    """The encoded request is over the cap; nothing was sent. Shorten it."""


class BufferFull(PublishError):
    """No room became free in time; nothing was sent. Publish this request again, later."""


class PublisherClosed(PublishError):
    """The publisher is closed or was never opened; nothing was sent."""


class TopicMismatch(PublishError):
    """The topic is missing or has another number of partitions than configured. Stop and mend one of the two."""


class NotDelivered(PublishError):
    """The broker never confirmed this record. Publish the request again: its `request_id` marks it as the same."""

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
    """What was already published no longer stands at the head of the source."""


class BadItem(PublishError):
    """One entry of a source makes no request; the others do."""


class Superseded(PublishError):
    """Another run publishes the same source to the same topic; this one stops. Exactly once still holds."""


class Stopped(PublishError):
    """The run was asked to stop and did so between two batches; the next run goes on from there."""


class InDoubt(PublishError):
    """It is not known whether a transaction was committed: reconnect, which settles it, and look."""


class UploadRefused(PublishError):
    """No address is signed for this; the message says what to change."""
