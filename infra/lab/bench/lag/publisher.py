"""`python -m` of this module publishes requests in bursts until it is ended: `publisher IMAGE_URI PER_SECOND SEED`."""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime
from itertools import count

from sightstream.infra.settings import load
from sightstream.pipeline.engine.simulated import SECONDS
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings

LONGEST_S = 1.5


def main(image_uri: str, per_second: float, seed: int) -> None:
    """Answers last up to LONGEST_S, so that workers finish out of order."""
    chance = random.Random(seed)  # noqa: S311 - a schedule
    numbers = count()
    with ImagePublisher(load(KafkaSettings), load(TopicSettings)) as publisher:
        while True:
            burst = chance.randint(1, round(per_second))
            for number in (next(numbers) for _ in range(burst)):
                publisher.publish(
                    ImageRequest(
                        request_id=f"r-{number}",
                        product_id=f"p-{number}",
                        image=ImageRef(uri=image_uri),
                        question=f"{SECONDS}{chance.uniform(0, LONGEST_S):.2f}",
                        submitted_at=datetime.now(UTC),
                    )
                )
            time.sleep(burst / per_second)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
