"""Header names that are not UTF-8, read by the real client: confluent-kafka returns a broken list for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.raw_batches import RawRecord, build_batch, produce_batch

pytestmark = pytest.mark.real

COUNT = 60
# In a process of its own: reading the broken list is a segmentation fault.
READ = f"""
import sys
from confluent_kafka import Consumer, TopicPartition
from sightstream.consumers.kafka.message import headers_of
consumer = Consumer({{"bootstrap.servers": sys.argv[1], "group.id": "reader"}})
consumer.assign([TopicPartition(sys.argv[2], 0, 0)])
for _ in range({COUNT}):
    message = consumer.poll(30)
    print(message.value().decode(), headers_of(message), headers_of(message))
consumer.close()
"""


def test_a_name_that_is_not_utf8_costs_its_headers_alone_however_many_were_read_before(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    """CPython checks the first calls of a method only; later ones return the broken list without an exception."""
    good = RawRecord(b"good", headers=[(b"h", b"1")])
    bad = RawRecord(b"bad", headers=[(b"h", b"1"), (b"bad\xff\xfe", b"2"), (b"after", b"3")])
    batch = build_batch([good, good, bad] * (COUNT // 3))
    produce_batch(runtime.kafka_settings, topics.requests, 0, batch)
    command = [sys.executable, "-c", READ, runtime.kafka_settings.bootstrap_servers, topics.requests]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "good [('h', b'1')] [('h', b'1')]",
        "good [('h', b'1')] [('h', b'1')]",
        "bad None []",
    ] * (COUNT // 3)
