"""A machine that lacks processes for a while costs time, and not one dead letter."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import cast

import pytest

from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.own_parts import DECODER, FETCHER, LOCAL_RESOURCES
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.stages import NO_SERVER, Server
from sightstream.pipeline.types import FetchedImage, Origin
from sightstream.schemas.wire.dead_letter import RecordId, Stage
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.worker.test_outcomes import FakeAssignment
from tests.pipeline.samples import request
from tests.pipeline.test_flow import FakeEngine

pytestmark = pytest.mark.slow

PNG = encoded(sample_image(), "PNG")
ORIGIN = Origin("https://shop.example", "https", is_dependency=False)
OUTAGE_S = 45.0


class OneImage:
    """The same image at every address."""

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        return FetchedImage(PNG, hashlib.sha256(image.uri.encode()).hexdigest())

    def origin(self, image: ImageRef) -> Origin:
        return ORIGIN

    def server(self, image: ImageRef) -> Server:
        return NO_SERVER


class Machine:
    """A worker's parts behind Kafka, on a clock that the test moves."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.assignment = FakeAssignment()
        self.decoder = Decoder(DecodeSettings(processes=2))
        self.flow = Flow(FlowSettings(max_in_flight=40), OneImage(), self.decoder, FakeEngine())
        self.retry_queue = RetryQueue(WorkerSettings(), lambda: self.now, Random(1))
        assignment = cast(Assignment, self.assignment)  # the fake has the parts that Outcomes uses
        self.outcomes = Outcomes(TopicSettings(), assignment, self.flow, self.retry_queue)
        self.unsubmitted = [self.delivery(offset) for offset in range(count)]
        for delivery in self.unsubmitted:
            assert self.state.start(delivery)

    @property
    def state(self) -> PartitionState:
        return self.assignment.state

    def delivery(self, offset: int) -> Delivery:
        asked = request(offset, f"https://shop.example/{offset}.png", submitted_at=datetime.now(UTC))
        return Delivery(RecordId("t", 0, offset), None, b"{}", [], asked, origin=ORIGIN)

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += 1
            for _ in range(min(self.flow.free_capacity, len(self.unsubmitted))):
                delivery = self.unsubmitted.pop()
                assert delivery.request is not None
                self.flow.submit(delivery, delivery.request)
            self.outcomes.collect(0.01)
            self.outcomes.retry_due()

    @property
    def endings(self) -> Counter[str]:
        return Counter(record.reason or "result" for record in self.state.ledger.publishable().values())


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine(400)
    yield machine
    machine.flow.stop()


def test_no_process_for_45_seconds_costs_time_and_no_dead_letter(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(f"{process.__name__}.subprocess.Popen", fail)
        machine.run_for(OUTAGE_S)
        assert machine.endings == {}
        assert machine.retry_queue.down == {DECODER}
    for _ in range(60):
        machine.run_for(10)
        if machine.endings.total() == 400:
            break
    assert machine.endings == {"result": 400}
    assert machine.retry_queue.down == set()


@pytest.mark.parametrize("stage", [Stage.FETCH, Stage.DECODE, Stage.INFER])
@pytest.mark.parametrize("part", [FETCHER, LOCAL_RESOURCES])
def test_a_part_of_the_worker_works_again_once_any_image_has_passed_it(part: str, stage: Stage) -> None:
    retry_queue = RetryQueue(WorkerSettings(breaker_failures=2), lambda: 0.0, Random(1))
    deliveries = [Delivery(RecordId("t", 0, n), None, b"", [], request(n), origin=ORIGIN) for n in range(3)]
    for delivery in deliveries[:2]:
        assert retry_queue.add(delivery, Retryable(stage, "short", part))
    assert retry_queue.down == {part}
    retry_queue.record_success(deliveries[2], stage, True)
    assert retry_queue.down == set()
