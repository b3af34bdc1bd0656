"""Describes how the entries of a source become requests, and names the job that this makes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.item import BulkSource
from sightstream.producers.tasks.task import Task
from sightstream.schemas.wire.options import AnalysisOptions


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What is asked about every entry: `question` where an entry has none, or else all that `task` asks.

    `options` fill in what an entry lacks. `columns` and `product_from` say where its product id is.
    """

    question: str | None
    options: AnalysisOptions = field(default_factory=AnalysisOptions)
    columns: Columns = OUR_NAMES
    product_from: str = "parent"
    task: Task | None = None


def job_name(source: BulkSource, topic: str, template: RequestTemplate) -> str:
    """Return the same name in every run of one source, topic and template; another question or task is another job."""
    options = template.options.model_dump()
    parts = [source.location, topic, template.question, options, template.columns.product, template.product_from]
    if template.columns != Columns(template.columns.product):
        parts.append(asdict(template.columns))
    if template.task is not None:
        parts += [template.task.name, template.task.digest]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
