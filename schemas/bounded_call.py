"""Calls into librdkafka that may ignore their own time limit (`send_offsets_to_transaction`, librdkafka #5456)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class NeverReturned(Exception):
    """The call goes on in a thread that is left behind; what it was made on must not be used again."""


def bounded_call(function: Callable[..., Answer], *arguments: Any, limit_s: float) -> Answer:
    """`function`'s answer, or what it raised. Blocks for `limit_s` seconds at most. Raises NeverReturned."""
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded-call", daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not answers:
        raise NeverReturned(f"no answer within {limit_s:.0f} s")
    return answers[0]
