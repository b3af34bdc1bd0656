"""A bound on calls that have none of their own.

librdkafka's transaction calls take a time limit, but `send_offsets_to_transaction` does not keep to it when the group's
coordinator goes away (librdkafka #5456, #5511), and `close` can hang (#1667).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class CallTimedOut(Exception):
    """The call goes on alone, for ever maybe: what it works on must be dropped."""


def call_with_timeout(call: Callable[..., Answer], *arguments: Any, timeout_s: float) -> Answer:
    """`call(*arguments)` on a thread of its own, while this one waits and can still be interrupted.

    Raises what the call raises, or CallTimedOut after `timeout_s` seconds.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call(*arguments))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, name="call-with-timeout", daemon=True).start()
    try:
        return answer.result(timeout_s)
    except TimeoutError:
        if answer.done():  # the call's own
            raise
        raise CallTimedOut(f"did not answer within {timeout_s:.0f} s") from None
