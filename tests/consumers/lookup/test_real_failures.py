"""The lookup beside records and topics that it can't cope with: it answers, or its process ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.lookup.harness import Lookups, newest, shown, wait_until_ready
from tests.consumers.outcomes import result_record
from tests.consumers.publishing import OutcomePublisher, read_all
from tests.consumers.waiting import wait_for
from tests.raw_batches import LZ4, RawRecord, build_batch, produce_batch

pytestmark = pytest.mark.real


def produce_with_a_bad_header_name(runtime: LocalRuntime, topics: TopicSettings) -> None:
    """Produce a newer result of p-3 into its partition, with a header whose name is not UTF-8."""
    seen = read_all(runtime.kafka_settings, [topics.results], topics.partitions)
    partition = next(at for (_, at, _), value in seen.items() if value and json.loads(value)["product_id"] == "p-3")
    key, value, headers = result_record("r-1000", "p-3", RecordId(topics.requests, 0, 1))
    named = [(name.encode(), content) for name, content in headers]
    records = [RawRecord(value, key, named), RawRecord(value, key, [*named, (b"bad\xff\xfe", b"x")])]
    produce_batch(runtime.kafka_settings, topics.results, partition, build_batch(records, LZ4))


def test_a_header_name_that_is_not_text_neither_stops_it_nor_hides_its_record(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    folder = tmp_path / "lookup"
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(10))
    produce_with_a_bad_header_name(runtime, topics)
    publisher.publish(range(10, 20))
    truth = newest(runtime, topics)
    assert truth["p-3"]["request_id"] == "r-1000"
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, list(truth)) == truth


def test_more_partitions_end_it_with_a_remedy(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    folder = tmp_path / "lookup"
    process = start(folder)
    wait_until_ready(process, folder)
    admin = AdminClient(runtime.kafka_settings.client_config())
    admin.create_partitions([NewPartitions(topics.results, 6)])[topics.results].result(30)
    assert process.wait(30) == 1
    assert "has 6 partitions now" in start.log.read_text()


def test_the_newest_result_is_shown_when_products_moved_to_other_partitions(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    OutcomePublisher(runtime.kafka_settings, topics).publish(range(50))
    admin = AdminClient(runtime.kafka_settings.client_config())
    admin.create_partitions([NewPartitions(topics.results, 7)])[topics.results].result(30)
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(50, 75))
    truth = newest(runtime, topics, partitions=7)
    assert truth["p-3"]["request_id"] == "r-53"
    assert truth["p-33"]["request_id"] == "r-33"
    folder = tmp_path / "lookup"
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, list(truth)) == truth
    publisher.publish(range(100, 125))
    truth = newest(runtime, topics, partitions=7)
    wait_for(lambda: shown(folder, list(truth)) == truth)


@pytest.mark.soak
def test_cut_off_from_kafka_it_stops_answering_and_answers_again_later(tmp_path: Path) -> None:
    with LocalRuntime(tmp_path / "runtime") as runtime:
        topics = TopicSettings(partitions=2)
        start = Lookups(runtime.prepare(topics), topics, tmp_path)
        try:
            publisher = OutcomePublisher(runtime.kafka_settings, topics)
            publisher.publish(range(20))
            truth = newest(runtime, topics)
            folder = tmp_path / "lookup"
            process = start(folder)
            wait_until_ready(process, folder)
            runtime.kafka.pause()
            wait_for(lambda: shown(folder, list(truth)) is None)
            runtime.kafka.resume()
            publisher.publish(range(50, 60))
            truth = newest(runtime, topics)
            wait_for(lambda: shown(folder, list(truth)) == truth)
            runtime.kafka.pause()
            wait_for(lambda: shown(folder, ["p-1"]) is None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(3) == 0
        finally:
            start.stop()
            print(start.log.read_text())  # noqa: T201 - shown when the test fails
