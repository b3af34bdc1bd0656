"""Opens the topics that the settings name, for each verb of `sightstream dead-letters`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.schemas.wire.topics import TopicSettings


@contextmanager
def opened_topics() -> Iterator[tuple[KafkaTopics, TopicSettings]]:
    """Open the topics that the settings name; what goes wrong with them ends the command with a message."""
    import logging

    from sightstream.consumers.kafka.types import KafkaReadError
    from sightstream.consumers.redrive.errors import RedriveError
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.infra.kafka_problem import kafka_problem
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr(logging.WARNING)
    kafka, names = load(KafkaSettings), load(TopicSettings)
    topics = KafkaTopics(kafka, names)
    try:
        yield topics, names
    except KafkaReadError as error:
        raise CommandError(kafka_problem(error, kafka)) from error
    except RedriveError as error:
        raise CommandError(str(error)) from error
    finally:
        topics.close()
