"""Runs the task in sentry-arroyo, at least once: in its own process, or in as many as the second argument says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from arroyo.backends.kafka import KafkaConsumer, KafkaPayload, KafkaProducer
from arroyo.backends.kafka.configuration import build_kafka_configuration, build_kafka_consumer_configuration
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, Produce, RunTask, RunTaskWithMultiprocessing
from arroyo.processing.strategies.abstract import ProcessingStrategy, ProcessingStrategyFactory
from arroyo.processing.strategies.run_task_with_multiprocessing import MultiprocessingPool
from arroyo.types import Commit, Message, Partition, Topic
from image_task import ImageTask, read_job

_task: list[ImageTask] = []  # one per process, made at first use


def run_task(message: Message[KafkaPayload]) -> KafkaPayload:
    if not _task:
        _task.append(ImageTask(read_job()))
    return KafkaPayload(message.payload.key, _task[0].run(message.payload.value), [])


class TaskFactory(ProcessingStrategyFactory[KafkaPayload]):
    def __init__(self, job: dict[str, Any], processes: int) -> None:
        self._results = Topic(job["results"])
        kafka: dict[str, Any] = build_kafka_configuration({}, bootstrap_servers=[job["bootstrap_servers"]])
        self._producer = KafkaProducer(kafka)
        self._pool = MultiprocessingPool(num_processes=processes) if processes else None

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        after = Produce(self._producer, self._results, CommitOffsets(commit))
        if self._pool is None:
            return RunTask(run_task, after)
        return RunTaskWithMultiprocessing(run_task, after, max_batch_size=16, max_batch_time=0.5, pool=self._pool)


def main() -> None:
    job, processes = read_job(), int(sys.argv[2])
    consumer = KafkaConsumer(
        build_kafka_consumer_configuration(
            {}, group_id=job["group_id"], auto_offset_reset="earliest", bootstrap_servers=[job["bootstrap_servers"]]
        )
    )
    StreamProcessor(consumer, Topic(job["requests"]), TaskFactory(job, processes)).run()


if __name__ == "__main__":
    main()
