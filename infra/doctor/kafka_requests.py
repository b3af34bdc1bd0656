"""The requests that librdkafka's clients do not have, through aiokafka's. None of them changes anything."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sightstream.consumers.kafka.aiokafka_arguments import aiokafka_arguments
from sightstream.schemas.connections.kafka import KafkaSettings

TIMEOUT_S = 15.0
NOBODY = 0  # the id of a producer and the generation of a group that do not exist
# Kafka's levels of the feature metadata.version: the highest that a broker supports tells its release.
_RELEASES = ((28, "4.2"), (26, "4.1"), (22, "4.0"), (21, "3.9"), (20, "3.8"), (15, "3.7"), (12, "3.6"), (9, "3.5"))
_OLDER = "3.4 or older"


class NoAnswer(Exception):
    """The broker did not answer, or does not know the request; the message says which."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """The wall clock of the active controller in seconds, or the error code of a refusal."""

    error_code: int
    clock_s: float | None


def release(level: int) -> str:
    """Return the release of Kafka whose highest metadata.version this is."""
    return next((name for least, name in _RELEASES if level >= least), _OLDER)


def ask(kafka: KafkaSettings, question: Callable[[Requests], Awaitable[Any]]) -> Any:
    """Connect, return what `question` returns, and disconnect. Blocks. Raises NoAnswer."""

    async def run() -> Any:
        from aiokafka.client import AIOKafkaClient

        client = AIOKafkaClient(**aiokafka_arguments(kafka), request_timeout_ms=round(TIMEOUT_S * 1000))
        try:
            await client.bootstrap()
            return await question(Requests(client))
        finally:
            await client.close()

    try:
        return asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    except Exception as error:  # aiokafka's errors have no common kind that excludes programming errors
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


class Requests:
    """Each returns what the broker says; zero is no error. They go to any broker: permissions come before all else."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def _send(self, request: Any) -> Any:
        return await self._client.send(self._client.get_random_node(), request)

    async def metadata_level(self) -> int | None:
        """Return the highest metadata.version that the broker supports, None for a broker of ZooKeeper's times."""
        return _supported_level((await self._send(_api_versions())).tags.get(0, b""))

    async def quorum(self) -> Quorum:
        """Return the controller's clock. Needs Describe on the cluster."""
        answer = await self._send(_describe_quorum())
        if answer.error_code or not answer.topics:
            return Quorum(answer.error_code, None)
        _, ((_, error_code, leader, _, _, voters, _, _),), _ = answer.topics[0]
        clocks = [caught_up_ms for replica, _, _, caught_up_ms, _ in voters if replica == leader]
        return Quorum(error_code, clocks[0] / 1000 if clocks and clocks[0] > 0 else None)

    async def read_group(self, group: str) -> int:
        """Return the error of a heartbeat by no member: it needs Read on the group."""
        from aiokafka.protocol.group import HeartbeatRequest

        return int((await self._send(HeartbeatRequest(group, NOBODY, ""))).error_code)

    async def describe_group(self, group: str) -> int:
        """Return the error of looking for the group's coordinator: it needs Describe on the group."""
        from aiokafka.protocol.coordination import FindCoordinatorRequest

        return int((await self._send(FindCoordinatorRequest(group, 0))).error_code)

    async def write_transactional_id(self, name: str) -> int:
        """Return the error of ending a transaction that nobody began: it needs Write on the transactional id."""
        from aiokafka.protocol.transaction import EndTxnRequest

        return int((await self._send(EndTxnRequest(name, NOBODY, 0, False))).error_code)


def _api_versions() -> Any:
    from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
    from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

    class Answer(Response):  # type: ignore[misc]  # aiokafka is not typed here
        API_KEY, API_VERSION = 18, 3
        SCHEMA = Schema(
            ("error_code", Int16),
            ("keys", CompactArray(("key", Int16), ("least", Int16), ("most", Int16), ("tags", TaggedFields))),
            ("throttle_ms", Int32),
            ("tags", TaggedFields),
        )

    class Body(RequestStruct):  # type: ignore[misc]
        API_KEY, API_VERSION, FLEXIBLE_VERSION, RESPONSE_TYPE = 18, 3, True, Answer
        SCHEMA = Schema(("name", CompactString("utf-8")), ("version", CompactString("utf-8")), ("tags", TaggedFields))

        def parse_response_header(self, read_buffer: Any) -> Any:
            return ResponseHeader_v0.decode(read_buffer)  # this one answer never has tags in its header

    class Ask(Request[Body]):  # type: ignore[misc]
        API_KEY = 18

        def build(self, request_struct_class: Any) -> Any:
            return request_struct_class("sightstream-doctor", "1", {})

    return Ask()


def _supported_level(tag: bytes) -> int | None:
    from aiokafka.protocol.types import CompactArray, CompactString, Int16, TaggedFields

    if not tag:
        return None
    features = CompactArray(
        ("name", CompactString("utf-8")), ("least", Int16), ("most", Int16), ("tags", TaggedFields)
    ).decode(io.BytesIO(tag))
    return next((most for name, _, most, _ in features or () if name == "metadata.version"), None)


def _describe_quorum() -> Any:
    from aiokafka.protocol.api import Request, RequestStruct, Response
    from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

    tags, text = ("tags", TaggedFields), CompactString("utf-8")
    replicas = CompactArray(
        ("replica", Int32), ("end", Int64), ("fetched_ms", Int64), ("caught_up_ms", Int64), tags
    )  # fmt: skip
    partition = CompactArray(
        ("index", Int32), ("error_code", Int16), ("leader", Int32), ("epoch", Int32), ("high_watermark", Int64),
        ("voters", replicas), ("observers", replicas), tags,
    )  # fmt: skip

    class Answer(Response):  # type: ignore[misc]  # aiokafka is not typed here
        API_KEY, API_VERSION = 55, 1
        SCHEMA = Schema(
            ("error_code", Int16), ("topics", CompactArray(("name", text), ("partitions", partition), tags)), tags
        )

    class Body(RequestStruct):  # type: ignore[misc]
        API_KEY, API_VERSION, FLEXIBLE_VERSION, RESPONSE_TYPE = 55, 1, True, Answer
        SCHEMA = Schema(
            ("topics", CompactArray(("name", text), ("partitions", CompactArray(("index", Int32), tags)), tags)), tags
        )

    class Ask(Request[Body]):  # type: ignore[misc]
        API_KEY = 55

        def build(self, request_struct_class: Any) -> Any:
            return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})

    return Ask()
