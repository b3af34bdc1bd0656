"""`sightstream trace`: follows one request from the topics and the store."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.infra.request_trace.types import Trace

BROKER_TIMEOUT_S = 10.0


def trace(
    *,
    request_id: Annotated[str, typer.Argument(help="The request's request_id.")],
    product: Annotated[str | None, typer.Option(help="Its product: one partition of each topic is read.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Read only what was written at this time or later: 2026-11-27T09:00 (UTC), or an age as 2h."),
    ] = None,
    path: Annotated[
        Path | None, typer.Option("--path", help="Results database; the configured one by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Follow one request: its records, its result or dead letter, redrives, and its row in the store.

    Give --product, --since or both. It says what was read and what retention has removed. Exits 1 if nothing was found.
    """
    from sightstream.infra.request_trace.report import document, lines

    if product is None and since is None:
        raise typer.BadParameter("give --product, or --since, or both: otherwise every record would be read")
    found = _search(request_id, product, None if since is None else _time(since), path)
    if as_json:
        print(json.dumps(document(found)))
    else:
        print("\n".join(lines(found)))
    if found.state == "unknown":
        raise typer.Exit(1)


def _time(text: str) -> datetime:
    from sightstream.consumers.redrive.filters import parse_time

    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def _search(request_id: str, product: str | None, since: datetime | None, path: Path | None) -> Trace:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from sightstream.consumers.kafka.broker import Broker
    from sightstream.consumers.kafka.types import KafkaReadError
    from sightstream.consumers.redrive.kafka_topics import open_consumer
    from sightstream.consumers.store.settings import StoreSettings
    from sightstream.infra.kafka_problem import kafka_problem
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.request_trace.search import Search
    from sightstream.infra.request_trace.topics import KafkaTopicSource
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.client_log import client_logger
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr(logging.CRITICAL)
    kafka, topics, database = load(KafkaSettings), load(TopicSettings), path or load(StoreSettings).path
    try:
        broker = Broker(AdminClient(kafka.client_config(), logger=client_logger(__name__)), BROKER_TIMEOUT_S)
        consumer = open_consumer(kafka)
        try:
            source = KafkaTopicSource(broker, consumer)
            return Search(source, topics, request_id, product, since).run(database)
        finally:
            consumer.close()
    except (KafkaReadError, KafkaException) as error:
        raise CommandError(kafka_problem(error, kafka)) from error
