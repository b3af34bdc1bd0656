"""A bound on calls that have none of their own.

librdkafka's transaction calls take a timeout, but `send_offsets_to_transaction` does not keep to it when the group's
coordinator goes away (librdkafka #5456, #5511), and `close` can hang (#1667).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from producers.errors import Unsettled

Answer = TypeVar("Answer")


def within(timeout_s: float, call: Callable[..., Answer], *arguments: object) -> Answer:
    """`call(*arguments)` on a thread of its own, while this one can still be interrupted.

    Raises what the call raises, or Unsettled when it is not done in time: it then goes on alone for ever, so what it
    works on must be dropped.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call(*arguments))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, name="watched-call", daemon=True).start()
    try:
        return answer.result(timeout_s)
    except TimeoutError:
        raise Unsettled(f"the broker did not answer within {timeout_s:.0f} s") from None
