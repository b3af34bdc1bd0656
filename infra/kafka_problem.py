"""Why a command could not read Kafka, in a sentence for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sightstream.infra.errors import explain_kafka_error

if TYPE_CHECKING:
    from sightstream.schemas.connections.kafka import KafkaSettings


def kafka_problem(
    error: Exception, kafka: KafkaSettings, connect: Callable[[KafkaSettings], object] | None = None
) -> str:
    """Return what a failed reading says, or why no connection can be made: a wrong protocol, too, is a time-out first.

    Blocks for ten seconds at most. `connect` returns a client, or the finding that says why there is none.
    """
    from sightstream.consumers.kafka.types import MissingTopic
    from sightstream.infra.doctor.broker_connection import connect as to_broker
    from sightstream.infra.doctor.types import Finding

    if not isinstance(error, MissingTopic):
        reached = (connect or to_broker)(kafka)
        if isinstance(reached, Finding):
            return f"Kafka: {reached.detail}"
    return explain_kafka_error(error) or str(error)
