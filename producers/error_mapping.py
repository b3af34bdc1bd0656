"""Maps a Kafka error inside a transaction to what the job does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightstream.producers.errors import InDoubt, PublishError, Superseded

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

FENCED = ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH")
# Waiting does not help: an access list, a limit or a password has to change.
PERMANENT = (
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


def to_publish_error(raised: KafkaError, delivery: KafkaError | None) -> PublishError:
    """Return the error for the job. `raised` is the call's, `delivery` the first record's, which says more."""
    if _is_one_of(raised, FENCED):
        return Superseded(
            "another run publishes this source, or this run stalled for longer than its transaction may last; "
            "wait for the other one, or run again to continue"
        )
    specific = delivery if delivery is not None else raised
    if _is_one_of(specific, PERMANENT) or _is_one_of(raised, PERMANENT):
        return PublishError(f"the broker refuses: {specific.str()}; correct that and run again to continue")
    return InDoubt(specific.str())


def _is_one_of(error: KafkaError, names: tuple[str, ...]) -> bool:
    from confluent_kafka import KafkaError

    return error.code() in {getattr(KafkaError, name) for name in names}
