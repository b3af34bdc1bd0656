"""Limits the time of calls that have no limit of their own.

librdkafka's transaction calls have a time limit, but `send_offsets_to_transaction` does not keep to it when the group's
coordinator goes away (librdkafka #5456, #5511), and `close` can hang (#1667).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class CallTimedOut(Exception):
    """The call did not return in time and may run for ever; drop the object that it works on."""


def call_with_timeout(call: Callable[..., T], *arguments: object, timeout_s: float) -> T:
    """Return `call(*arguments)`, run on a separate thread while this one waits and can still be interrupted.

    Raises what the call raises, or CallTimedOut after `timeout_s` seconds.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call(*arguments))
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, name="call-with-timeout", daemon=True).start()
    try:
        return outcome.result(timeout_s)
    except TimeoutError:
        if outcome.done():  # the error is the call's own, or it returned just now
            return outcome.result()
        raise CallTimedOut(f"did not answer within {timeout_s:.0f} s") from None
