"""Dead letters of a real worker are redriven, and it answers each new record once, with the history in its headers."""

from __future__ import annotations

import pytest

from sightstream.consumers.kafka.message import headers_of
from sightstream.consumers.redrive.decision import Decision
from sightstream.consumers.redrive.job import RedriveJob
from sightstream.consumers.redrive.kafka_topics import KafkaTopics
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.redrive_pass import Plan
from sightstream.schemas.wire.codec import decode_result
from sightstream.schemas.wire.dead_letter import Failure, Reason
from sightstream.schemas.wire.redrive import History
from tests.consumers.redrive.samples import Listener
from tests.faults.harness import WorkerHarness

pytestmark = pytest.mark.real


def redrive(harness: WorkerHarness) -> int:
    topics = KafkaTopics(harness.kafka, harness.topics)
    done = RedriveJob(topics, harness.topics, Plan(), Pace(None)).run(Listener()).count(Decision.REDRIVE)
    harness.published += done
    return done


def test_a_request_that_fails_twice_and_then_succeeds_keeps_its_history(harness: WorkerHarness) -> None:
    harness.publish(6, image={"uri": (harness.folder / "later.png").as_uri()})
    harness.publish_raw(b"{no request", key=b"p0", headers=[("trace", b"1")])
    harness.start_worker()
    harness.wait_outcomes(7)
    assert redrive(harness) == 7
    second = [Failure.from_headers(headers_of(m) or []) for m in harness.wait_outcomes(14).dead_letters]
    assert {str(failure.reason) for failure in second} == {Reason.IMAGE_NOT_FOUND, Reason.MALFORMED}
    harness.image("later.png")
    assert redrive(harness) == 7
    found = harness.check_exactly_once()
    assert len(found.results) == 6
    for message in found.results:
        history = History.from_headers(headers_of(message) or [])
        assert history is not None
        assert (history.count, history.first_reason) == (2, "image_not_found")
        assert history.letter.topic == harness.topics.dead_letters
    assert {decode_result(message.value()).request_id for message in found.results} == {f"r{n:06}" for n in range(6)}
    counts = [history.count for m in found.dead_letters if (history := History.from_headers(headers_of(m) or []))]
    assert sorted(counts) == [1] * 7 + [2]
    assert all(("trace", b"1") in (headers_of(m) or []) for m in found.dead_letters if m.value() == b"{no request")
