"""The loop that most people write: poll, get, open, produce, commit. It is at least once, one image at a time."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer
from image_task import ImageTask, read_job


def main() -> None:
    job = read_job()
    task = ImageTask(job)
    consumer = Consumer(
        {
            "bootstrap.servers": job["bootstrap_servers"],
            "group.id": job["group_id"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": job["bootstrap_servers"]})
    consumer.subscribe([job["requests"]])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        producer.produce(job["results"], key=message.key(), value=task.run(message.value()))
        producer.flush()  # otherwise a crash after the commit would lose the result
        consumer.commit(message=message, asynchronous=False)


if __name__ == "__main__":
    main()
