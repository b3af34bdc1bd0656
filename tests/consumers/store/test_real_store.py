"""The store on a real broker: its rows are the topics' committed records, whatever happens to it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.outcomes import dead_record, result_record
from tests.consumers.publishing import OutcomePublisher, Seen, publish_in_background, read_all
from tests.consumers.waiting import wait_for
from tests.raw_batches import RawRecord, build_batch, produce_batch

pytestmark = pytest.mark.real

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def group(topics: TopicSettings) -> str:
    return f"store-of-{topics.results}"


@pytest.fixture
def start(config_file: Path, database: Path, group: str) -> Iterator[Start]:
    """`start("--until-idle", "1")` starts a store process."""
    with config_file.open("a") as file:
        file.write(
            f'\n[store]\npath = "{database}"\ngroup_id = "{group}"\nbatch_records = 20\nbatch_interval_s = 0.05\n'
        )
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sightstream", "--config", str(config_file), "store", *options]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def rows(database: Path) -> Seen:
    query = """SELECT topic, partition, "offset", CAST(record AS BLOB) FROM results
        UNION ALL SELECT topic, partition, "offset", value FROM dead_letters
        UNION ALL SELECT topic, partition, "offset", value FROM unreadable"""
    with sqlite3.connect(database) as connection:
        return {(topic, part, offset): value for topic, part, offset, value in connection.execute(query)}


def row_count(database: Path) -> int:
    try:
        return len(rows(database))
    except sqlite3.Error:
        return 0  # not made yet


def has_more_rows(database: Path, count: int) -> bool:
    return row_count(database) > count


def answers(database: Path) -> list[int]:
    """How many answers the results have."""
    query = """SELECT DISTINCT (SELECT count(*) FROM answers AS a WHERE (a.topic, a.partition, a."offset")
        = (r.topic, r.partition, r."offset")) FROM results AS r ORDER BY 1"""
    with closing(sqlite3.connect(database)) as connection:
        return [number for (number,) in connection.execute(query)]


def positions_sum(database: Path) -> int:
    try:
        with closing(sqlite3.connect(database)) as connection:
            return int(connection.execute("SELECT coalesce(sum(next_offset), 0) FROM positions").fetchone()[0])
    except sqlite3.Error:
        return 0  # not made yet


def finish(start: Start) -> str:
    out, err = (process := start("--until-idle", "0.5")).communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_rows_equal_the_topics_whenever_it_is_killed(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, database: Path
) -> None:
    names = [topics.results, topics.dead_letters]
    kafka = runtime.kafka_settings
    with publish_in_background(kafka, topics):
        for _ in range(4):
            before = row_count(database)
            process = start()
            wait_for(partial(has_more_rows, database, before + 40))
            process.send_signal(signal.SIGKILL)
            process.wait()
    finish(start)
    stored = rows(database)
    assert stored == read_all(kafka, names, topics.partitions)
    assert len(stored) < len(
        read_all(kafka, names, topics.partitions, "read_uncommitted")
    )  # aborted records stood between them
    assert answers(database) == [1, 2]
    dump = list(sqlite3.connect(database).iterdump())
    assert "0 results, 0 dead_letters, 0 unreadable written" in finish(start)
    assert list(sqlite3.connect(database).iterdump()) == dump


def test_sigterm_ends_it_with_everything_written_and_no_lag(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, database: Path, group: str
) -> None:
    OutcomePublisher(runtime.kafka_settings, topics).publish(range(100))
    process = start()
    wait_for(lambda: positions_sum(database) > 100)  # past the transaction's markers too
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert row_count(database) == 100
    admin = AdminClient(runtime.kafka_settings.client_config())
    committed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    positions = {(p.topic, p.partition): p.offset for p in committed.topic_partitions}
    with sqlite3.connect(database) as connection:
        query = "SELECT topic, partition, next_offset FROM positions"
        assert positions == {(topic, part): offset for topic, part, offset in connection.execute(query)}


def test_a_second_store_on_the_same_file_is_refused(start: Start, database: Path) -> None:
    first = start()
    wait_for(database.exists)
    second = start()
    _, err = second.communicate(timeout=30)
    assert (second.returncode, first.poll()) == (1, None)
    assert b"another store writes to" in err


def test_two_stores_of_one_group_share_the_partitions(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, tmp_path: Path, database: Path
) -> None:
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(100))
    start()
    wait_for(lambda: row_count(database) == 100)
    other = tmp_path / "other.db"
    start("--path", str(other))
    wait_for(lambda: row_count(other) > 0)  # a partition came to it, and it reads it from the beginning
    publisher.publish(range(100, 200))
    truth = read_all(runtime.kafka_settings, [topics.results, topics.dead_letters], topics.partitions)
    wait_for(lambda: rows(database) | rows(other) == truth)


def test_a_topic_created_again_is_refused(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, database: Path
) -> None:
    finish(start)
    admin = AdminClient(runtime.kafka_settings.client_config())
    admin.delete_topics([topics.results])[topics.results].result(30)
    _recreate(admin, topics)
    process = start("--until-idle", "0.5")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"was deleted and created again" in err


def test_header_names_that_are_not_text_stop_nothing(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, database: Path
) -> None:
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(20))
    for topic, make in ((topics.results, result_record), (topics.dead_letters, dead_record)):
        key, value, headers = make("r-bad", "p-bad", RecordId(topics.requests, 0, 1))
        named = [*((name.encode(), content) for name, content in headers), (b"bad\xff\xfe", b"x")]
        produce_batch(runtime.kafka_settings, topic, 0, build_batch([RawRecord(value, key, named)]))
    publisher.publish(range(20, 40))
    finish(start)
    assert rows(database) == read_all(runtime.kafka_settings, [topics.results, topics.dead_letters], topics.partitions)
    with sqlite3.connect(database) as connection:
        kept = connection.execute("SELECT source_offset FROM results WHERE request_id = 'r-bad'").fetchall()
        unreadable = connection.execute("SELECT topic FROM unreadable").fetchall()
    assert kept == [(None,)]
    assert unreadable == [(topics.dead_letters,)]


def _recreate(admin: AdminClient, topics: TopicSettings) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic

    def created() -> bool:
        try:
            admin.create_topics([NewTopic(topics.results, topics.partitions, 1)])[topics.results].result(30)
        except KafkaException:
            return False
        return True

    wait_for(created, every_s=0.2)
