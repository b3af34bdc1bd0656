"""Runs the task in quixstreams in its exactly-once mode: transactions around consume, process and produce."""

from __future__ import annotations

from image_task import ImageTask, read_job
from quixstreams import Application


def main() -> None:
    job = read_job()
    task = ImageTask(job)
    app = Application(
        broker_address=job["bootstrap_servers"],
        consumer_group=job["group_id"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=0.5,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    requests = app.topic(job["requests"], key_deserializer="bytes", value_deserializer="bytes")
    results = app.topic(job["results"], key_serializer="bytes", value_serializer="bytes")
    app.dataframe(requests).apply(task.run).to_topic(results)
    app.run()


if __name__ == "__main__":
    main()
