"""The checker goes red: a history that breaks an invariant is found, by that invariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sightstream.schemas.wire.dead_letter import RecordId
from tests.faults.checker import InvariantsBroken, VoidRun, check, violations
from tests.faults.history import Committed, End, Fault, History, Outcome, Request, Sighting

KEY = b"p1"


def request(offset: int, key: bytes | None = KEY) -> Request:
    return Request(RecordId("requests", 0, offset), key, key, f"r{offset}", f"digest {offset}")


def result(offset: int, source: int, written_ms: int = 0, key: bytes | None = KEY) -> Outcome:
    at = RecordId("results", 0, offset)
    return Outcome(at, key, RecordId("requests", 0, source), written_ms or source * 100, f"r{source}")


def dead(offset: int, source: int, written_ms: int = 0) -> Outcome:
    at = RecordId("dead", 0, offset)
    origin = RecordId("requests", 0, source)
    return Outcome(at, KEY, origin, written_ms or source * 100, reason="not_an_image", digest=f"digest {source}")


def good() -> History:
    """Requests 0 to 3, where 2 is a dead letter; a marker stands at offset 4 of the request topic."""
    outcomes = (result(0, 0), result(1, 1), dead(0, 2), result(3, 3))
    return History(
        published=4,
        requests=tuple(map(request, range(4))),
        outcomes=outcomes,
        sightings=tuple(Sighting(outcome, outcome.written_ms + 20) for outcome in outcomes),
        committed={0: Committed(5)},
        ends=(End("results", 0, 5, 5), End("dead", 0, 2, 2)),
        rows=tuple(outcome.at for outcome in outcomes),
        inferences={"r0": 1, "r1": 1, "r2": 0, "r3": 2},
        faults=(Fault("kill", lag=3, in_flight=1, recovery_s=5, recovery_limit_s=16),),
    )


def with_outcomes(*outcomes: Outcome) -> History:
    """The good history with other outcomes, which all readers and the store agree on."""
    seen = tuple(Sighting(outcome, outcome.written_ms + 20) for outcome in outcomes)
    return replace(good(), outcomes=outcomes, sightings=seen, rows=tuple(outcome.at for outcome in outcomes))


def broken_invariants(history: History) -> set[str]:
    return {violation.invariant for violation in violations(history)}


def test_a_good_history_passes() -> None:
    assert violations(good()) == []
    check(good())


FIRST_THREE = (result(0, 0), result(1, 1), dead(0, 2))
VIOLATING: dict[str, tuple[str, Callable[[], History]]] = {
    "a request without an outcome": ("I1", lambda: with_outcomes(*FIRST_THREE)),
    "a published request that is not on the topic": ("I1", lambda: replace(good(), published=5)),
    "an outcome of nothing": ("I1", lambda: with_outcomes(*good().outcomes, result(4, 9))),
    "an outcome without a source": ("I1", lambda: with_outcomes(*good().outcomes, replace(result(4, 3), source=None))),
    "a result under another request's name": (
        "I1",
        lambda: with_outcomes(*FIRST_THREE, replace(result(3, 3), request_id="r0")),
    ),
    "a dead letter with other bytes": (
        "I1",
        lambda: with_outcomes(result(0, 0), result(1, 1), replace(dead(0, 2), digest="other"), result(3, 3)),
    ),
    "two results of one request": ("I2", lambda: with_outcomes(*good().outcomes, result(4, 3))),
    "a result and a dead letter of one request": ("I2", lambda: with_outcomes(*good().outcomes, dead(1, 3))),
    "a duplicate that only the concurrent reader got": (
        "I2",
        lambda: replace(good(), sightings=(*good().sightings, Sighting(result(7, 3), 900))),
    ),
    "one record that the concurrent reader got twice": (
        "I2",
        lambda: replace(good(), sightings=(*good().sightings, good().sightings[-1])),
    ),
    "a record that the concurrent reader never got": (
        "I2",
        lambda: replace(good(), sightings=good().sightings[:-1]),
    ),
    "a record that became another one": (
        "I2",
        lambda: replace(good(), sightings=(*good().sightings[:-1], Sighting(replace(result(3, 3), source=None), 900))),
    ),
    "a concurrent reader that lost its position": ("I2", lambda: replace(good(), reader_errors=("lost",))),
    "a key out of order on the result topic": (
        "I3",
        lambda: with_outcomes(result(0, 1, 300), result(1, 0, 300), dead(0, 2, 300), result(3, 3)),
    ),
    "a later result that was read before the earlier dead letter was written": (
        "I3",
        lambda: with_outcomes(result(0, 0), result(1, 1), dead(0, 2, written_ms=900), result(3, 3)),
    ),
    "a later dead letter that was read before the earlier result was written": (
        "I3",
        lambda: with_outcomes(result(0, 0), result(1, 1, written_ms=250), dead(0, 2), result(3, 3)),
    ),
    "an outcome on another partition than its key": (
        "I3",
        lambda: with_outcomes(*FIRST_THREE, replace(result(3, 3), at=RecordId("results", 1, 0))),
    ),
    "an offset committed without an outcome": ("I4", lambda: with_outcomes(*FIRST_THREE)),
    "an outcome whose offset was not committed": ("I4", lambda: replace(good(), committed={0: Committed(3)})),
    "a group without offsets": ("I4", lambda: replace(good(), committed={})),
    "an open transaction": ("I5", lambda: replace(good(), ends=(End("results", 0, 4, 5),))),
    "a row too few": ("I6", lambda: replace(good(), rows=(good().rows or ())[1:])),
    "a row too many": ("I6", lambda: replace(good(), rows=(*(good().rows or ()), RecordId("results", 0, 8)))),
    "more repeated inferences than were in flight": (
        "I7",
        lambda: replace(good(), inferences={"r0": 1, "r1": 2, "r3": 2}),
    ),
    "a repeated inference without any fault": ("I7", lambda: replace(good(), faults=())),
    "a count of inferences that counted nothing": ("I7", lambda: replace(good(), inferences={})),
    "a late recovery": ("I8", lambda: replace(good(), faults=(Fault("kill", 3, 1, 16.1, 16),))),
    "no recovery at all": ("I8", lambda: replace(good(), faults=(Fault("kill", 3, 1, None, 16),))),
    "a fault when all work was done": ("I9", lambda: replace(good(), faults=(Fault("kill", 0, 1),))),
}


@pytest.mark.parametrize("name", VIOLATING)
def test_a_violation_is_found_by_its_invariant(name: str) -> None:
    invariant, history = VIOLATING[name]
    assert invariant in broken_invariants(history())


def test_every_invariant_has_a_violating_history() -> None:
    assert {invariant for invariant, _ in VIOLATING.values()} == {f"I{number}" for number in range(1, 10)}


def test_the_metadata_covers_what_is_finished_beyond_the_offset() -> None:
    history = replace(good(), committed={0: Committed(1, ((2, 4),))})
    (violation,) = violations(history)
    assert str(violation) == "I4: requests/0@1 is not committed and has an outcome"


def test_finished_beyond_an_unfinished_request_is_no_violation_of_the_offsets() -> None:
    outcomes = tuple(outcome for outcome in good().outcomes if outcome.source != RecordId("requests", 0, 1))
    history = replace(with_outcomes(*outcomes), committed={0: Committed(1, ((2, 4),))})
    assert broken_invariants(history) == {"I1"}


def test_keys_are_ordered_one_by_one() -> None:
    requests = (request(0, b"a"), request(1, b"b"), request(2, None), request(3, b"a"))
    outcomes = (result(0, 2, key=None), result(1, 1, key=b"b"), result(2, 0, key=b"a"), result(3, 3, key=b"a"))
    seen = tuple(Sighting(outcome, outcome.written_ms + 20) for outcome in outcomes)
    rows = tuple(outcome.at for outcome in outcomes)
    inferences = dict.fromkeys(("r0", "r1", "r2", "r3"), 1)
    history = replace(good(), requests=requests, outcomes=outcomes, sightings=seen, rows=rows, inferences=inferences)
    assert violations(history) == []


def test_records_of_one_transaction_have_no_order_across_topics() -> None:
    """The later dead letter is written first, and both become readable by one commit."""
    outcomes = (result(0, 0), result(1, 1, written_ms=210), dead(0, 2, written_ms=205), result(3, 3))
    assert violations(with_outcomes(*outcomes)) == []


def test_a_record_whose_key_could_not_be_read_has_no_order() -> None:
    unreadable = replace(dead(0, 2, written_ms=900), reason="unreadable_record", digest=None)
    assert violations(with_outcomes(result(0, 0), result(1, 1), unreadable, result(3, 3))) == []


def test_a_dead_letter_that_was_too_large_needs_no_bytes() -> None:
    omitted = replace(dead(0, 2), key=None, digest=None)
    assert violations(with_outcomes(result(0, 0), result(1, 1), omitted, result(3, 3))) == []


def test_a_void_run_is_told_apart_from_a_broken_product() -> None:
    idle = replace(good(), faults=(Fault("kill", lag=0, in_flight=1),))
    with pytest.raises(VoidRun, match="nothing was left to do at kill"):
        check(idle)
    with pytest.raises(InvariantsBroken, match="I5: results/0 is stable up to 4 of 5"):
        check(replace(idle, ends=(End("results", 0, 4, 5),)))
