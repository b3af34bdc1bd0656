"""Describes topics also while a broker is down."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription

_GRACE_S = 5.0  # the client ends a request by itself a moment after its timeout
_NO_ANSWER = {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.REQUEST_TIMED_OUT}


def describe_topics(
    admin: AdminClient, names: Collection[str], request_timeout: float
) -> dict[str, Future[TopicDescription]]:
    """Ask for the topics, twice if there is no answer; return a future for each. Blocks for three timeouts at most.

    librdkafka sends this to the broker that it takes for the controller. When that one has died it goes on waiting for
    it until its metadata is due for a refresh, which is minutes away. So the metadata is refreshed before the second
    time: any broker that lives answers that, and names one that lives.
    """
    asked = admin.describe_topics(TopicCollection([*names]), request_timeout=request_timeout)
    if all(_is_answered(future, request_timeout) for future in asked.values()):
        return asked
    admin.poll(
        0
    )  # hands over the client's own lines, which say why: a password, a certificate, TLS where there is none
    with suppress(KafkaException):  # then the second answer says what is wrong
        admin.list_topics(timeout=request_timeout)
    return admin.describe_topics(TopicCollection([*names]), request_timeout=request_timeout)


def _is_answered(future: Future[TopicDescription], timeout_s: float) -> bool:
    try:
        error = future.exception(timeout_s + _GRACE_S)
    except TimeoutError:
        return False
    return not (isinstance(error, KafkaException) and error.args[0].code() in _NO_ANSWER)
