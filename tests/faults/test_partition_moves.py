"""Partitions that go to another worker and come back while slow images head them."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.faults.commit_harness import CommitHarness

pytestmark = pytest.mark.real


def test_work_of_a_partition_that_has_gone_is_not_published(commits: CommitHarness) -> None:
    """Kafka would accept it: the worker is still a member of the group, and nobody checks whose partition it is."""
    for partition in (0, 1):
        commits.publish_behind_slow_one(5, partition)
    commits.start()
    commits.wait(lambda: len(commits.answered()) == 10, "answers of all but the slow ones")
    commits.start(name="two")
    commits.wait(lambda: commits.events("held").total() == 3, "the second worker with a slow image of its own")
    commits.open_gate()
    commits.check()


def test_what_a_stopping_worker_hands_back_is_answered_by_the_next(commits: CommitHarness) -> None:
    commits.publish_behind_slow_one(10)
    leaving = commits.start(worker_drain_timeout_s=0)
    commits.wait(lambda: len(commits.answered()) == 10, "answers of all but the slow one")
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(30) == 0, commits.logs()
    commits.open_gate()
    commits.start(name="two")
    commits.check()


def test_a_partition_that_left_while_paused_is_read_when_it_comes_back(commits: CommitHarness) -> None:
    """librdkafka keeps a partition's pause over its revocation and its next assignment (#1849)."""
    for partition in (0, 1):
        products = commits.products_of(partition)
        for slow in [True] * 4 + [False] * 6:
            commits.publish_one(next(products), slow)
    commits.start(flow_max_in_flight=8)
    for partition in (0, 1):
        commits.wait_event("paused", str(partition))
    guest = commits.start(name="two", worker_drain_timeout_s=0, flow_max_in_flight=8)
    commits.wait_for_owners(2)
    guest.send_signal(signal.SIGTERM)
    assert guest.wait(30) == 0, commits.logs()
    commits.wait_for_owners(1)
    commits.open_gate()
    commits.check()


def test_no_partition_waits_for_the_backlog_of_another(commits: CommitHarness) -> None:
    """All partitions fill one queue in the client: what is fetched from one at a time is what the others wait for.

    The client may ask for a partition up to a second after another, so the count begins where all of them come.
    """
    commits.publish(3_000, products=50, image={"uri": commits.image()})
    commits.start(flow_max_in_flight=32)
    commits.wait_until_seen(1_800)
    sources = [sighting.outcome.source for sighting in commits.reader.sightings]
    partitions = [source.partition for source in sources if source]
    begin = max(partitions.index(partition) for partition in range(commits.topics.partitions))
    counts = Counter(partitions[begin : begin + 600])
    assert min(counts[partition] for partition in range(commits.topics.partitions)) > 120, counts
