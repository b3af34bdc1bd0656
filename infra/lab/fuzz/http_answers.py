"""Runs hostile HTTP answers through the part that reads them in a worker.

    python -m sightstream.infra.lab.fuzz.http_answers --answers 100000 --seed 1

Each answer must end as a body, or in one of our own errors, within a limit of processor time; where it ends as a body,
http.client must read the same one. They run in a child process, whose death is counted. Any of these makes exit code 1.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import re
import socket
import sys
import time
from collections import Counter
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

from sightstream.infra.lab.fuzz.mutate import Rng, mutated
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import TransientError
from sightstream.pipeline.fetch.http.connection import Connection, Response
from sightstream.pipeline.fetch.http.response import check_response, read_body
from sightstream.schemas.wire.dead_letter import Reason

MAX_BYTES = 64 * 1024
CPU_LIMIT_S = 0.25
MAX_PROBLEMS = 20  # of a child: its report must fit into the pipe that nobody reads before it ends
OK = b"HTTP/1.1 200 OK\r\n"
SEEDS = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b'Content-Type: image/png\r\nContent-Length: 16 \r\nETag: "x"\r\n\r\n0123456789abcdef',
    OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;a="b"\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n',
    OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1100 + b"0\r\n\r\n",
    OK + b"Connection: close\r\n\r\nhello",
    OK + b"Content-Encoding: aws-chunked\r\nContent-Length: 5\r\n\r\nhello" + OK,
    b"HTTP/1.0 200 OK\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
]
PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b"0\r\n\r\n", b"0x10", b"1_0", b"-5", b"+5",
    b"ffffffffffffffff\r\n",
    b"X: y\r\n", b"X : y\r\n", b" folded\r\n", b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Content-Encoding: gzip\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff\xfe", b"\x80",
)  # fmt: skip


def answer(number: int) -> bytes:
    """Return answer `number`: a valid one with bytes changed and pieces of HTTP inserted, mostly between lines."""
    rng = random.Random(number)  # noqa: S311
    data = bytearray(rng.choice(SEEDS) if rng.random() < 0.5 else mutated(number, SEEDS))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = _line_start(rng, data) if rng.random() < 0.7 else rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 200, 2000))
    return bytes(data)


def _line_start(rng: Rng, data: bytearray) -> int:
    return data.find(b"\r\n", rng.randrange(len(data) + 1)) + 2


class _Recorded:
    """A socket whose peer has sent all its bytes and hung up; they come in pieces of random size."""

    def __init__(self, data: bytes, rng: Rng) -> None:
        self._data, self._rng = memoryview(data), rng

    def settimeout(self, _timeout_s: float) -> None:
        pass

    def sendall(self, _data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    def recv_into(self, buffer: memoryview) -> int:
        size = min(len(self._data), len(buffer), self._rng.choice((1, 7, 100, 1 << 20)))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size


def read(data: bytes, rng: Rng) -> tuple[str, bytes | None]:
    """Return how a fetch of this answer ends, and its body, if it has one. Raises what a worker would not expect."""
    connection = Connection(cast(socket.socket, _Recorded(data, rng)), time.monotonic)
    response = Response(connection, Deadline(60))
    try:
        response.read_head()
        check_response(response, MAX_BYTES)
        return "read", read_body(response, MAX_BYTES)
    except TransientError as error:
        return error.kind.value, None
    except Rejected as error:
        return Reason(error.reason).value, None
    except OSError:
        return "no answer", None
    finally:
        response.close()


def other_reading(data: bytes) -> bytes | None:
    """Return the body that http.client reads, None where it reads none; it knows no interim answer but 100.

    It compares `Transfer-Encoding` with the blanks behind it, so these are left out.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    data = re.sub(rb"[ \t]+(\r\n|$)", rb"\1", head) + end + rest

    class Recorded:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    try:
        response = HTTPResponse(cast(socket.socket, Recorded()), method="GET")
        response.begin()
        return response.read() if response.status == 200 else None
    except (HTTPException, ValueError):
        return None


def run(first: int, end: int, at: Any, results: Any) -> None:
    """Read the answers from `first` up to `end`; `at` always holds the number of the one in work."""
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    for number in range(first, end):
        at.value = number
        data, started = answer(number), time.thread_time()
        try:
            outcome, body = read(data, random.Random(number))  # noqa: S311
        except Exception as error:
            outcome, body = "broken", None
            problems.append(f"{number}: {type(error).__name__}: {error}")
        if time.thread_time() - started > CPU_LIMIT_S:
            outcomes["over time"] += 1
            problems.append(f"{number}: over {CPU_LIMIT_S} s of processor time")
        if body is not None and (other := other_reading(data)) is not None and other != body:
            outcomes["read apart"] += 1
            problems.append(f"{number}: http.client reads another body")
        outcomes[outcome] += 1
    results.put((outcomes, problems[:MAX_PROBLEMS]))


def fuzz(seed: int, answers: int) -> dict[str, Any]:
    """Return the report over that many answers; a child that dies is counted and replaced after its answer."""
    context = multiprocessing.get_context("spawn")
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    first, end = seed * 10**9, seed * 10**9 + answers
    started = time.monotonic()
    while first < end:
        at, results, last = context.Value("q", first), context.SimpleQueue(), min(end, first + 10_000)
        child = context.Process(target=run, args=(first, last, at, results))
        child.start()
        child.join()
        if child.exitcode == 0:
            found, more = results.get()
            outcomes += found
            problems += more
            first = last
        else:
            outcomes["death"] += 1
            problems.append(f"{at.value}: the child died with {child.exitcode}")
            first = at.value + 1
    return {
        "answers": answers,
        "outcomes": dict(outcomes.most_common()),
        "seconds": round(time.monotonic() - started, 1),
        "problems": problems,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=10_000, help="number of answers (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other answers (default: 1)")
    options = parser.parse_args(arguments)
    report = fuzz(options.seed, options.answers)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
