"""The spans of a request: one for the whole below its publisher's, one for each stage below that."""

from __future__ import annotations

import time

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.records import dead_letter_record, result_record
from sightstream.consumers.worker.request_spans import MAX_STAGES, RequestSpans
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.connections.spans import Span, Spans
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage, original_headers
from sightstream.schemas.wire.topics import TopicSettings
from sightstream.schemas.wire.trace_context import TraceContext, trace_context
from tests.consumers.outcomes import NOON, request, result

TOPICS = TopicSettings()
PUBLISHER = TraceContext(0xA << 100, 0xB, True)
STAGES = (("fetch", 10.0, 11.0), ("decode", 11.0, 11.5), ("infer", 11.5, 20.0))


def delivery(context: TraceContext | None = PUBLISHER) -> Delivery:
    headers = [] if context is None else [context.header()]
    return Delivery(RecordId("image.requests", 3, 17), b"p-1", b"{}", [*headers], request(), received_at=9.5)


def spans_of(one: Delivery, error: Rejected | None = None) -> list[Span]:
    recorded = list[Span]()
    spans = RequestSpans(Spans(recorded.append), "workers")
    spans.add(one, STAGES)
    record = dead_letter_record(one, error, TOPICS, NOON) if error else result_record(one, result(), TOPICS)
    spans.record([(one, record)], 20.0, 20.25)
    return recorded


def test_each_stage_is_a_child_of_the_request_and_that_of_the_publisher() -> None:
    whole, *parts = spans_of(delivery())
    assert (whole.name, whole.kind, whole.parent) == ("process image.requests", "consumer", PUBLISHER)
    assert [part.name for part in parts] == ["fetch", "decode", "infer", "commit"]
    assert all(part.parent == whole.context for part in parts)
    assert {span.context.trace_id for span in (whole, *parts)} == {PUBLISHER.trace_id}
    assert len({span.context.span_id for span in (whole, *parts)}) == 5
    assert whole.attributes["sightstream.request_id"] == "r-1"
    assert (whole.attributes["messaging.kafka.offset"], whole.error) == (17, None)


def test_times_are_those_of_the_day_and_keep_their_distances() -> None:
    whole, *parts = spans_of(delivery())
    lengths = [round((part.end_ns - part.start_ns) / 1e9, 6) for part in parts]
    assert lengths == [1.0, 0.5, 8.5, 0.25]
    assert round((whole.end_ns - whole.start_ns) / 1e9, 6) == 10.75
    offset_s = time.time() - time.monotonic()
    assert abs(whole.start_ns / 1e9 - offset_s - 9.5) < 1


def test_the_result_carries_the_span_that_it_came_from() -> None:
    one = delivery()
    (whole, *_) = spans_of(one)
    assert trace_context(result_record(one, result(), TOPICS).headers) == whole.context


def test_a_dead_letter_keeps_the_publishers_header_and_its_span_says_why() -> None:
    one = delivery()
    error = Rejected(Reason.NOT_AN_IMAGE, Stage.DECODE, "text")
    whole, *_ = spans_of(one, error)
    assert (whole.error, whole.attributes["sightstream.outcome"]) == ("not_an_image", "dead_letter")
    assert original_headers(dead_letter_record(one, error, TOPICS, NOON).headers) == [PUBLISHER.header()]


def test_a_trace_that_its_publisher_does_not_record_is_passed_on_and_not_recorded() -> None:
    quiet = TraceContext(1, 2, False)
    one = delivery(quiet)
    assert spans_of(one) == []
    assert trace_context(result_record(one, result(), TOPICS).headers) == quiet


def test_while_nothing_is_traced_the_context_still_travels() -> None:
    assert trace_context(result_record(delivery(), result(), TOPICS).headers) == PUBLISHER
    assert trace_context(result_record(delivery(None), result(), TOPICS).headers) is None


def test_a_request_that_is_tried_for_hours_keeps_a_bounded_number_of_stages() -> None:
    one, spans = delivery(), RequestSpans(Spans(lambda span: None), "workers")
    for _ in range(1000):
        spans.add(one, STAGES)
    assert len(one.stages) == MAX_STAGES


def test_whether_a_new_trace_is_recorded_is_decided_once_and_travels() -> None:
    recorded = list[Span]()
    spans = RequestSpans(Spans(recorded.append, sample_ratio=0.0), "workers")
    one = delivery(None)
    spans.add(one, STAGES)
    decided = one.span
    spans.add(one, STAGES)
    assert decided is not None
    assert (one.span, decided.is_sampled) == (decided, False)
    assert trace_context(result_record(one, result(), TOPICS).headers) == decided


def test_a_dead_letter_without_a_publishers_header_carries_the_workers() -> None:
    one = delivery(None)
    error = Rejected(Reason.NOT_AN_IMAGE, Stage.DECODE, "text")
    whole, *_ = spans_of(one, error)
    assert trace_context(dead_letter_record(one, error, TOPICS, NOON).headers) == whole.context
    assert trace_context(dead_letter_record(delivery(None), error, TOPICS, NOON).headers) is None
