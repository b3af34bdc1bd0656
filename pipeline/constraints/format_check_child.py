"""The process that checks new response formats, one at a time. A hostile one may keep it busy, or end it."""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection

from pydantic import TypeAdapter

from sightstream.pipeline.child_memory import limit_growth
from sightstream.pipeline.child_signals import ignore_stops
from sightstream.pipeline.constraints.format_check import check_format
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat, ResponseFormat

_FORMATS: TypeAdapter[ResponseFormat] = TypeAdapter(ResponseFormat)
_SIMPLEST = JsonSchemaFormat(json_schema=JsonSchema(name="simplest", schema_={"type": "boolean"}))


def main(pipe: int, cpu_s: float, memory_bytes: int) -> None:
    """Check formats until the parent closes the pipe, each for `cpu_s` seconds of CPU time at most."""
    ignore_stops()
    check_format(_SIMPLEST)  # loads the libraries, which no format shall pay for
    limit_growth(memory_bytes)
    connection = Connection(pipe)
    connection.send_bytes(b"")
    while (data := _next(connection)) is not None:
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # SIGPROF ends this process
        problem = _problem(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(problem.encode())


def _next(connection: Connection) -> bytes | None:
    try:
        return connection.recv_bytes()
    except EOFError:
        return None


def _problem(data: bytes) -> str:
    """Return what is wrong with the format, "" for nothing."""
    try:
        check_format(_FORMATS.validate_json(data))
    except Rejected as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
