"""The loop that most people write: poll, get, open, produce, commit. At least once; one image at a time."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer
from look import Looker, read_job


def main() -> None:
    job = read_job()
    looker = Looker(job)
    consumer = Consumer(
        {
            "bootstrap.servers": job["bootstrap_servers"],
            "group.id": job["group"],
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
        producer.produce(job["results"], key=message.key(), value=looker.look(message.value()))
        producer.flush()  # or a crash after the commit would lose it
        consumer.commit(message=message, asynchronous=False)


if __name__ == "__main__":
    main()
