"""Formats that cannot be used are refused at once, and none makes the worker dial or think for long."""

from __future__ import annotations

import gc
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sightstream.pipeline.constraints.format_check import check_format
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat, JsonSchema, JsonSchemaFormat
from tests.pipeline.constraints.formats import compiler, json_format, object_format
from tests.pipeline.constraints.hostile_schemas import hostile_schemas

NAMES = list(hostile_schemas("http://127.0.0.1:9/"))
ANSWERS = ('"' + "a" * 27 + '!"', '"' + "a" * 50_000 + '"', "[" * 30 + "]" * 30, "9" * 5000, '{"a":1}', "")


class CountingPort:
    """A port on the loopback interface that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def port() -> Iterator[CountingPort]:
    port = CountingPort()
    yield port
    port.close()


def test_there_are_sixty_hostile_schemas() -> None:
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_schema_is_refused_within_half_a_second_or_checks_in_50_ms(name: str, port: CountingPort) -> None:
    schema = hostile_schemas(port.url)[name]
    response_format = JsonSchemaFormat(json_schema=JsonSchema.model_construct(name="a", schema_=schema, strict=None))
    with _no_garbage_collection():
        began = time.thread_time()
        refusal = _refusal(response_format)
        assert time.thread_time() - began < 0.5
    if refusal is not None:
        assert (refusal.reason, refusal.stage) == (Reason.SCHEMA_UNUSABLE, Stage.TAKE)
        assert 0 < len(str(refusal)) <= 500
    for text in ANSWERS:
        began = time.thread_time()
        parse_value(response_format, text)
        assert refusal is not None or time.thread_time() - began < 0.05
    if refusal is None:
        compiler().start(response_format)
    assert port.connections == 0


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collecting takes as long as all that other tests have left behind, which is no work of the check."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_hostile_schemas_cost_little_memory() -> None:
    """References multiply what they refer to: 10 to the power of 9 alternatives in a kilobyte."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for schema in hostile_schemas("http://127.0.0.1:9/").values():
        response_format = JsonSchemaFormat(
            json_schema=JsonSchema.model_construct(name="m", schema_=schema, strict=None)
        )
        _refusal(response_format)
        for text in ANSWERS:
            parse_value(response_format, text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB


def _refusal(response_format: JsonSchemaFormat) -> Rejected | None:
    try:
        check_format(response_format)
    except Rejected as error:
        return error
    return None


def test_the_port_counts() -> None:
    port = CountingPort()
    host, number = port.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(number))) as connection:
        connection.recv(1)
    port.close()
    assert port.connections == 1


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": r"\b"}}}, r"#/properties/a: pattern: '"),
        ({"type": "string", "pattern": "a", "format": "date"}, "side by side"),
        ({"enum": ["bell \x07"]}, "control character"),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.3}, "no integer"),
        ({"oneOf": [{"type": "string"}]}, "anyOf"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_and_where(schema: dict[str, object], problem: str) -> None:
    with pytest.raises(Rejected, match=problem):
        check_format(json_format(schema))


def test_what_a_shop_asks_passes() -> None:
    check_format(SECTIONS_FORMAT)
    check_format(ChoiceFormat(choices=("red", "red wine")))
    check_format(
        object_format(
            category={"enum": [f"category {i}" for i in range(900)]},
            colour={"type": ["string", "null"], "maxLength": 40},
            price={"type": "number", "minimum": 0},
            sizes={"type": "array", "items": {"enum": ["S", "M", "L"]}, "maxItems": 3},
            photographed={"type": "string", "format": "date"},
        )
    )
