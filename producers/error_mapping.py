"""From a Kafka error inside a transaction to what the job should do next."""

from __future__ import annotations

from typing import Any

from sightstream.producers.errors import InDoubt, PublishError, Superseded

FENCED = ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH")
# Waiting does not mend these: somebody has to change an access list, a limit or a password.
HOPELESS = (
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "MSG_SIZE_TOO_LARGE",
    "OFFSET_METADATA_TOO_LARGE",
    "UNKNOWN_TOPIC_OR_PART",
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
)


def to_publish_error(raised: Any, delivery: Any | None) -> PublishError:
    """`raised` is the call's KafkaError, `delivery` the first record's, which says more where there is one."""
    if _is_one_of(raised, FENCED):
        return Superseded(
            "another run publishes this source, or this run stalled for longer than its transaction may last; "
            "wait for the other one, or run again to go on"
        )
    told = delivery if delivery is not None else raised
    if _is_one_of(told, HOPELESS) or _is_one_of(raised, HOPELESS):
        return PublishError(f"the broker refuses: {told.str()}; mend that and run again to go on")
    return InDoubt(told.str())


def _is_one_of(error: Any, names: tuple[str, ...]) -> bool:
    from confluent_kafka import KafkaError

    return error.code() in {getattr(KafkaError, name) for name in names}
