from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from sightstream.consumers.worker.claims import Claim
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.types import Outcome
from sightstream.schemas.wire.dead_letter import Failure, Reason, RecordId, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.topics import TopicSettings

STORE_DOWN = Retryable(Stage.FETCH, "503", "s3")
FOREIGN_DOWN = Retryable(Stage.FETCH, "503")
GONE = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "404")
LATE = Rejected(Reason.DEADLINE_EXCEEDED, Stage.TAKE, "late")


class FakeFlow:
    """Hands out what the test puts in."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.submitted: list[Any] = []

    def collect(self, timeout: float) -> list[Outcome]:
        found, self.outcomes = self.outcomes, []
        return found

    def submit(self, ticket: Any, request: ImageRequest) -> None:
        self.submitted.append(ticket)


class FakeClaims:
    """One partition whose tickets stay held."""

    def __init__(self) -> None:
        self.claim: Claim = Claim(0, Ledger[OutgoingRecord](0))

    def holds(self, ticket: Ticket) -> Claim | None:
        return self.claim if self.claim.tickets.get(ticket.source.offset) is ticket else None


class Desk:
    def __init__(self) -> None:
        self.now = 100.0
        self.flow, self.claims = FakeFlow(), FakeClaims()
        settings = WorkerSettings(max_attempts=2, outage_failures=2, probe_interval_s=1)
        self.retries = Retries(settings, lambda: self.now, Random(1))
        flow: Any = self.flow
        claims: Any = self.claims
        self.outcomes = Outcomes(TopicSettings(), claims, flow, self.retries)

    def take(self, offset: int) -> Ticket:
        request = ImageRequest(
            request_id="r",
            product_id=f"p{offset}",
            image=ImageRef(uri="s3://b/k"),
            question="?",
            submitted_at=datetime.now(UTC),
        )
        ticket = Ticket(RecordId("t", 0, offset), None, b"{}", [], request)
        self.claims.claim.ledger.take(offset, None)
        self.claims.claim.tickets[offset] = ticket
        return ticket

    def end(self, ticket: Ticket, result: ImageResult | PipelineError) -> None:
        self.flow.outcomes.append(Outcome(ticket, result))
        self.outcomes.collect()

    @property
    def reasons(self) -> dict[int, Reason]:
        ready = self.claims.claim.ledger.publishable()
        return {offset: Failure.from_headers(record.headers).reason for offset, record in ready.items()}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_rejection_is_a_dead_letter_at_once(desk: Desk) -> None:
    desk.end(desk.take(0), GONE)
    assert desk.reasons == {0: Reason.IMAGE_NOT_FOUND}


def test_what_may_pass_is_submitted_again_and_given_up_in_the_end(desk: Desk) -> None:
    ticket = desk.take(0)
    desk.end(ticket, FOREIGN_DOWN)
    assert desk.reasons == {}
    desk.now += 60
    desk.outcomes.try_again()
    assert desk.flow.submitted == [ticket]
    desk.end(ticket, FOREIGN_DOWN)
    assert desk.reasons == {0: Reason.RETRIES_EXHAUSTED}


@pytest.mark.parametrize(("answer", "ends_it"), [(GONE, True), (LATE, False)])
def test_an_answer_about_any_image_ends_an_outage(desk: Desk, answer: Rejected, ends_it: bool) -> None:
    for offset in range(3):
        desk.end(desk.take(offset), STORE_DOWN)
    assert desk.retries.down == {"s3"}
    desk.end(desk.take(3), answer)
    assert (desk.retries.down == set()) == ends_it


@pytest.mark.parametrize("cached", [True, False])
def test_an_answer_from_a_cache_does_not_end_an_outage_of_the_engine(desk: Desk, cached: bool) -> None:
    for offset in range(3):
        desk.end(desk.take(2 * offset), Retryable(Stage.INFER, "503", "engine"))
        desk.end(desk.take(2 * offset + 1), STORE_DOWN)
    desk.end(desk.take(6), answered(cached))
    assert desk.retries.down == ({"engine"} if cached else set())


def answered(cached: bool) -> ImageResult:
    return ImageResult(
        request_id="r",
        product_id="p",
        question="?",
        answer=Answer(),
        finish_reason="stop",
        complete=False,
        raw_text="",
        image=SeenImage(uri="s3://b/k", sha256="a" * 64, bytes=1, format="PNG", width=1, height=1),
        model=ModelIdentity(name="m", quantization="none", engine="remote"),
        tokens=TokenCounts(prompt=1, completion=1),
        seconds=StageSeconds(fetch=0, decode=0, infer=0, total=0),
        cached=cached,
        completed_at=datetime.now(UTC),
    )


def test_what_is_no_longer_held_leaves_no_trace(desk: Desk) -> None:
    ticket = desk.take(0)
    desk.claims.claim.tickets.clear()
    desk.end(ticket, GONE)
    desk.end(desk.take(1), Cancelled("handed back"))
    assert desk.reasons == {}
