"""What redriving relies on holds for the topics in memory and for real ones."""

from __future__ import annotations

import os

import pytest

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.errors import InDoubt, RecordRefused, Superseded
from sightstream.consumers.redrive.protocol import OutgoingRecord, RedriveTopics
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.redrive import LetterId
from tests.consumers.redrive.backends import RealCluster
from tests.consumers.redrive.fakes import FakeCluster, FakeTopics
from tests.consumers.redrive.samples import failure_headers

Cluster = FakeCluster | RealCluster


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "fake":
        return FakeCluster(refuses=lambda record: len(record.value or b"") > 2**20)
    runtime, names = request.getfixturevalue("runtime"), request.getfixturevalue("topics")
    return RealCluster(runtime.kafka_settings, names)


def topics_of(cluster: Cluster) -> RedriveTopics:
    return FakeTopics(cluster) if isinstance(cluster, FakeCluster) else cluster.topics()


def marker(cluster: Cluster, offset: int) -> OutgoingRecord:
    return OutgoingRecord(cluster.names.redrives, b"dead/id/0/%d" % offset, b"{}", [])


def keys(cluster: Cluster) -> list[bytes | None]:
    topics = topics_of(cluster)
    topics.open()
    return [record.key for record in topics.markers()]


def test_all_records_of_a_commit_become_visible(cluster: Cluster) -> None:
    topics = topics_of(cluster)
    topics.open()
    request = OutgoingRecord(cluster.names.requests, b"p", None, [("a", b"1"), ("a", None)])
    topics.commit([request, marker(cluster, 7)])
    topics.commit([marker(cluster, 8)])
    assert keys(cluster) == [b"dead/id/0/7", b"dead/id/0/8"]
    (sent,) = cluster.requests
    assert (sent.key, sent.value, sent.headers) == (b"p", None, [("a", b"1"), ("a", None)])


def test_a_second_one_fences_the_first(cluster: Cluster) -> None:
    first, second = topics_of(cluster), topics_of(cluster)
    first.open()
    first.commit([marker(cluster, 1)])
    second.open()
    with pytest.raises(Superseded, match="another"):
        first.commit([marker(cluster, 2)])
    assert [record.key for record in second.markers()] == [b"dead/id/0/1"]
    second.commit([marker(cluster, 3)])
    assert keys(cluster) == [b"dead/id/0/1", b"dead/id/0/3"]


def test_nothing_is_committed_without_a_producer(cluster: Cluster) -> None:
    with pytest.raises(InDoubt):
        topics_of(cluster).commit([marker(cluster, 1)])


def test_of_a_transaction_with_a_refused_record_nothing_is_written(cluster: Cluster) -> None:
    topics = topics_of(cluster)
    topics.open()
    huge = OutgoingRecord(cluster.names.redrives, b"dead/id/0/9", os.urandom(2**20 + 2**16), [])
    with pytest.raises(RecordRefused):
        topics.commit([marker(cluster, 1), huge])
    with pytest.raises(InDoubt):
        topics.commit([marker(cluster, 2)])
    topics.open()
    topics.commit([marker(cluster, 2)])
    assert keys(cluster) == [b"dead/id/0/2"]


def test_letters_come_in_the_order_of_their_partition_within_the_spans(cluster: Cluster) -> None:
    put = [cluster.put_letter(n % 2, b"k", b"%d" % n, failure_headers()) for n in range(6)]
    topics = topics_of(cluster)
    spans = topics.letter_spans()
    later = cluster.put_letter(0, b"k", b"later", failure_headers())
    found = [record.at for record in topics.letters(spans)]
    assert sorted(found, key=lambda at: (at.partition, at.offset)) == sorted(
        put, key=lambda at: (at.partition, at.offset)
    )
    for number in (0, 1):
        offsets = [at.offset for at in found if at.partition == number]
        assert offsets == sorted(offsets)
    assert later not in found
    assert [r.at for r in topics.letters({0: OffsetSpan(put[2].offset, put[4].offset)})] == [put[2]]
    assert [r.at for r in topics.letters({0: OffsetSpan(3, 3)})] == []


def test_a_source_is_found_where_it_is_and_nowhere_else(cluster: Cluster) -> None:
    topics = topics_of(cluster)
    topics.open()
    topics.commit([OutgoingRecord(cluster.names.requests, b"p", b"v", [("a", b"1")])])
    (sent,) = cluster.requests
    assert topics.source(sent.at) == sent
    for at in (
        RecordId(sent.at.topic, sent.at.partition, sent.at.offset + 1),  # the transaction's marker
        RecordId(sent.at.topic, sent.at.partition, sent.at.offset + 100),
        RecordId(f"{sent.at.topic}.gone", 0, 0),
    ):
        assert topics.source(at) is None


def test_the_id_of_the_topic_stays_and_fits_into_a_marker(cluster: Cluster) -> None:
    topic_id = topics_of(cluster).topic_id()
    assert topic_id == topics_of(cluster).topic_id()
    assert LetterId.parse(str(LetterId("t", topic_id, 0, 0))).topic_id == topic_id
