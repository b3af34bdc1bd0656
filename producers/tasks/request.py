"""Makes one request from a task, for a program that publishes requests itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sightstream.producers.sources.item import Item
from sightstream.producers.sources.requests import build_request
from sightstream.producers.tasks.rows import with_task
from sightstream.producers.tasks.task import Task
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest

NO_ATTRIBUTES: Mapping[str, str] = {}


def request_from(
    task: Task,
    *,
    product_id: str,
    images: Sequence[ImageRef],
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    request_id: str | None = None,
    deadline: datetime | None = None,
) -> ImageRequest:
    """Return a request that asks the task's questions; `attributes` fill in its placeholders.

    Without a `request_id`, the same product, images and questions give the same id. Raises BadItem when a column is
    missing, or when a field is not valid.
    """
    given: dict[str, Any] = {"product_id": product_id, "attributes": dict(attributes)}
    given |= {"image": images[0]} if len(images) == 1 else {"images": tuple(images)}
    own = {"request_id": request_id, "deadline": deadline}
    given |= {name: value for name, value in own.items() if value is not None}
    return build_request(with_task(Item(product_id, b"", given), task), None, AnalysisOptions(), datetime.now(UTC))
