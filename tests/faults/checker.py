"""Judges a run by the invariants I1 to I9, from what stands on the topics and in the store, never from counters.

I1  every request ends as exactly one result or one dead letter, and it is its own
I2  a `read_committed` reader sees no outcome twice, neither one that ran all along nor one that comes at the end
I3  outcomes of one key come in the order of its requests, on the partition of that key
I4  the group's committed offsets cover exactly the requests that have an outcome
I5  at rest the last stable offset equals the high watermark: no transaction is open
I6  the store holds exactly the records of the topics
I7  the engine ran no more often than there were requests, plus the images in flight at each fault
I8  outcomes go on within a limit after a fault
I9  there was work left at each fault; otherwise the run proves nothing, and is void
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sightstream.schemas.wire.dead_letter import RecordId
from tests.faults.history import History, Outcome, Request

VOID = "I9"
# The worker could not read the key of such a record, so nothing orders it.
WITHOUT_READABLE_KEY = {"unreadable_record"}
MAX_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a run broke an invariant."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


class InvariantsBroken(AssertionError):
    """The product broke its promise."""


class VoidRun(AssertionError):
    """A fault came when there was nothing left to do: run it again, it proves nothing."""


def check(history: History) -> None:
    """Raise InvariantsBroken, or VoidRun when only the run itself is to blame."""
    found = violations(history)
    broken = [each for each in found if each.invariant != VOID]
    if broken:
        shown = "\n".join(map(str, broken[:MAX_SHOWN]))
        raise InvariantsBroken(f"{len(broken)} violations of {len(history.requests)} requests:\n{shown}")
    if found:
        raise VoidRun("\n".join(map(str, found)))


def violations(history: History) -> list[Violation]:
    """Return every way in which the run broke an invariant, an empty list for a good one."""
    checks = {
        "I1": (_one_outcome_each, _own_outcome),
        "I2": (_nothing_twice, _both_readers_agree),
        "I3": (_key_order_in_a_topic, _key_order_across_topics, _partition_of_the_key),
        "I4": (_offsets_cover_outcomes,),
        "I5": (_no_open_transaction,),
        "I6": (_rows_equal_topics,),
        "I7": (_inferences_bounded,),
        "I8": (_recovery_in_time,),
        VOID: (_work_left_at_faults,),
    }
    return [Violation(name, detail) for name, each in checks.items() for run in each for detail in run(history)]


# --- I1 ---------------------------------------------------------------------------------------------------


def _one_outcome_each(history: History) -> Iterator[str]:
    if len(history.requests) != history.published:
        yield f"{history.published} requests were published and {len(history.requests)} are on the topic"
    answered = {outcome.source for outcome in history.outcomes}
    yield from (f"{at(r.source)} has no outcome" for r in history.requests if r.source not in answered)
    known = {request.source for request in history.requests}
    yield from (
        f"{at(o.at)} answers {at(o.source)}, which is no request" for o in history.outcomes if o.source not in known
    )


def _own_outcome(history: History) -> Iterator[str]:
    """A result carries its request's id; a dead letter carries its record's key and value, unless left out."""
    for request, outcome in _pairs(history):
        if outcome.reason is None and outcome.request_id != request.request_id:
            yield f"{at(outcome.at)} answers {request.request_id} under the name of {outcome.request_id}"
        if outcome.reason is not None and outcome.digest not in (None, request.digest):
            yield f"{at(outcome.at)} is not the record {at(request.source)} byte for byte"


# --- I2 ---------------------------------------------------------------------------------------------------


def _nothing_twice(history: History) -> Iterator[str]:
    seen = [sighting.outcome for sighting in history.sightings]
    for reader, outcomes in (("final", history.outcomes), ("concurrent", seen)):
        yield from (
            f"the {reader} reader sees {n} outcomes of {at(s)}" for s, n in _repeated(o.source for o in outcomes)
        )
        yield from (f"the {reader} reader sees {at(a)} {n} times" for a, n in _repeated(o.at for o in outcomes))


def _both_readers_agree(history: History) -> Iterator[str]:
    """A committed outcome neither appears late below what was read, nor vanishes."""
    final = {outcome.at: outcome.source for outcome in history.outcomes}
    concurrent = {sighting.outcome.at: sighting.outcome.source for sighting in history.sightings}
    yield from (f"{at(a)} was seen by the concurrent reader, and is gone" for a in concurrent.keys() - final.keys())
    yield from (f"{at(a)} was never seen by the concurrent reader" for a in final.keys() - concurrent.keys())
    changed = (a for a in final.keys() & concurrent.keys() if final[a] != concurrent[a])
    yield from (f"{at(a)} was another outcome for the concurrent reader" for a in changed)
    yield from history.reader_errors


def _repeated(items: Iterable[RecordId | None]) -> Iterator[tuple[RecordId | None, int]]:
    return ((item, count) for item, count in Counter(items).items() if count > 1)


# --- I3 ---------------------------------------------------------------------------------------------------


def _key_order_in_a_topic(history: History) -> Iterator[str]:
    """In one partition the log itself is the order. (A dead letter without its key may be on any partition.)"""
    last: dict[tuple[str, int, int, bytes], tuple[int, RecordId]] = {}
    for request, outcome in sorted(_ordered_pairs(history), key=lambda pair: pair[1].at.offset):
        assert request.order_key is not None
        sequence = (outcome.at.topic, outcome.at.partition, request.source.partition, request.order_key)
        before = last.get(sequence)
        if before is not None and before[0] > request.source.offset:
            yield f"{at(outcome.at)} for offset {request.source.offset} stands behind {at(before[1])} for {before[0]}"
        last[sequence] = (request.source.offset, outcome.at)


def _key_order_across_topics(history: History) -> Iterator[str]:
    """Two topics have no common order, so only this is claimed: a reader never had a later outcome of a key before
    an earlier one was even written.

    What a `read_committed` reader had at a time was committed before it; what was written after it belongs to a later
    transaction. All clocks here are the machine's own. An outcome that was written late, yet before the reader got the
    later one, is not noticed; the reader is as a rule some milliseconds behind, and two commits are further apart.
    """
    seen_ms = {sighting.outcome.at: sighting.seen_ms for sighting in history.sightings}
    latest: dict[tuple[int, bytes], Outcome] = {}
    for request, outcome in sorted(_ordered_pairs(history), key=lambda pair: pair[0].source.offset):
        assert request.order_key is not None
        sequence = (request.source.partition, request.order_key)
        earlier = latest.setdefault(sequence, outcome)
        if earlier.written_ms > seen_ms.get(outcome.at, earlier.written_ms):
            yield f"{at(outcome.at)} could be read before {at(earlier.at)} for an earlier request was written"
        latest[sequence] = max(earlier, outcome, key=lambda each: each.written_ms)


def _partition_of_the_key(history: History) -> Iterator[str]:
    """An outcome under its request's key has its request's partition number, so a reader of the key finds both."""
    for request, outcome in _pairs(history):
        if outcome.key is not None and outcome.key == request.key and outcome.at.partition != request.source.partition:
            yield f"{at(outcome.at)} is not on partition {request.source.partition} of its key"


def _ordered_pairs(history: History) -> Iterator[tuple[Request, Outcome]]:
    for request, outcome in _pairs(history):
        if request.order_key is not None and outcome.reason not in WITHOUT_READABLE_KEY:
            yield request, outcome


def _pairs(history: History) -> Iterator[tuple[Request, Outcome]]:
    requests = {request.source: request for request in history.requests}
    for outcome in history.outcomes:
        if outcome.source is not None and outcome.source in requests:
            yield requests[outcome.source], outcome


# --- I4 to I6 ---------------------------------------------------------------------------------------------


def _offsets_cover_outcomes(history: History) -> Iterator[str]:
    """Stronger than equal sums: the very requests that are covered have an outcome, and no others."""
    answered = {outcome.source for outcome in history.outcomes}
    for request in history.requests:
        committed = history.committed.get(request.source.partition)
        covered = committed is not None and committed.covers(request.source.offset)
        if covered and request.source not in answered:
            yield f"{at(request.source)} is committed and has no outcome"
        elif not covered and request.source in answered:
            yield f"{at(request.source)} is not committed and has an outcome"


def _no_open_transaction(history: History) -> Iterator[str]:
    for end in history.ends:
        if end.stable != end.high:
            yield f"{end.topic}/{end.partition} is stable up to {end.stable} of {end.high}"


def _rows_equal_topics(history: History) -> Iterator[str]:
    if history.rows is None:
        return
    rows, records = Counter(history.rows), Counter(outcome.at for outcome in history.outcomes)
    yield from (f"the store has no row of {at(a)}" for a in (records - rows))
    yield from (f"the store has {n} rows too many of {at(a)}" for a, n in (rows - records).items())


# --- I7 to I9 ---------------------------------------------------------------------------------------------


def _inferences_bounded(history: History) -> Iterator[str]:
    if history.inferences is None:
        return
    repeated, allowed = repeated_inferences(history), sum(fault.in_flight for fault in history.faults)
    if repeated > allowed:
        yield f"{repeated} inferences were repeated, and at most {allowed} images were in flight at the faults"
    answers = {outcome.request_id for outcome in history.outcomes if outcome.reason is None}
    yield from (
        f"{name} was answered without an inference" for name in answers if not history.inferences.get(name or "")
    )


def repeated_inferences(history: History) -> int:
    """Return how many inferences were more than the first of their request; jobs of no request do not count."""
    counts = history.inferences or {}
    return sum(max(counts.get(request.request_id or "", 0) - 1, 0) for request in history.requests)


def _recovery_in_time(history: History) -> Iterator[str]:
    for fault in history.faults:
        if fault.recovery_limit_s is None:
            continue
        if fault.recovery_s is None:
            yield f"after {fault.name} no outcome came at all"
        elif fault.recovery_s > fault.recovery_limit_s:
            yield f"outcomes went on {fault.recovery_s:.1f} s after {fault.name}, over {fault.recovery_limit_s:g} s"


def _work_left_at_faults(history: History) -> Iterator[str]:
    yield from (f"nothing was left to do at {fault.name}" for fault in history.faults if fault.lag <= 0)


def at(record: RecordId | None) -> str:
    return "no record" if record is None else f"{record.topic}/{record.partition}@{record.offset}"
