"""Decides what an unexpected error means: a bug that one request triggers, a broken stage, or a machine out of memory.

One request that triggers a bug must neither end this worker nor, delivered again, the next and the next. So a
known-good job runs through the same stage. If it succeeds, the request is tried again, and is a dead letter after three
tries; only if the known-good job fails as well is the stage broken, and the worker stops. Without a known-good job to
send, the request waits as in an outage.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

from sightstream.pipeline.errors import Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.own_parts import FETCHER
from sightstream.pipeline.shortage import shortage
from sightstream.schemas.wire.dead_letter import Reason, Stage

log = logging.getLogger(__name__)

MAX_TRIES = 3

T = TypeVar("T")


class NoKnownGood(Exception):
    """There is no known-good job for the stage now, so nothing tells whether it works."""


def judge(stage: Stage, error: Exception, run_known_good: Callable[[], None], number: int) -> PipelineError | None:
    """Return how a request ends whose try of this `number`, from 1, met an unexpected error; Fatal for a broken stage.

    None says to try it again. `run_known_good` sends a known-good job through the stage.
    """
    if (short := shortage(error, stage)) is not None:
        return short
    log.error("unexpected error at the stage %s: %s", stage.value, without_message(error))
    if (problem := _problem_of_stage(stage, run_known_good)) is not None:
        return problem
    if number < MAX_TRIES:
        return None
    detail = f"unexpected {type(error).__name__} at each of {number} tries, while a known-good job succeeded"
    return Rejected(Reason.INTERNAL_ERROR, stage, detail)


def attempt(stage: Stage, work: Callable[[], T], run_known_good: Callable[[], None]) -> T:
    """Return what `work` returns, for work of a moment on a thread that serves every request.

    Raises what `work` raises to name the next action; Rejected after three unexpected errors; Fatal if the stage is
    broken, or the machine out of memory: nothing is lost then, since nothing is committed for the request.
    """
    number = 0
    while True:
        number += 1
        try:
            return work()
        except PipelineError:
            raise
        except Exception as error:
            ending = judge(stage, error, run_known_good, number)
        if ending is not None:
            raise Fatal(str(ending)) if isinstance(ending, Retryable) else ending


def _problem_of_stage(stage: Stage, run_known_good: Callable[[], None]) -> PipelineError | None:
    try:
        run_known_good()
    except Rejected:
        return None  # of a known-good image that has gone meanwhile, say: the stage itself works
    except NoKnownGood as unknown:
        return Retryable(stage, str(unknown), FETCHER)
    except PipelineError as problem:
        return problem
    except Exception as error:
        if (short := shortage(error, stage)) is not None:
            return short
        log.error("a known-good job fails at the stage %s, too: %s", stage.value, without_message(error))
        return Fatal(f"the stage {stage.value} is broken: {type(error).__name__}, on a known-good job as well")
    return None


def without_message(error: Exception) -> str:
    """Return type and traceback only; the message may contain a presigned URL."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def drop_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and of its causes: they keep all that the functions that raised it had."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
