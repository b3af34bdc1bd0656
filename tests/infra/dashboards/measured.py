"""The metrics that the processes serve, and those that an expression asks for."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from sightstream.consumers import metrics as consumer_metrics
from sightstream.pipeline import metrics as pipeline_metrics

SUFFIXES: dict[type, str] = {Counter: "_total", Gauge: "", Histogram: ""}


@cache
def measured() -> dict[str, set[str]]:
    """Every metric's name, as a query writes it but for what a histogram's series end with, with its labels."""
    found: dict[str, set[str]] = {}
    for value in (*vars(consumer_metrics).values(), *vars(pipeline_metrics).values()):
        if isinstance(value, consumer_metrics.Exported):
            found[value.name] = set(value.labels)
        elif type(value) in SUFFIXES:
            found[value._name + SUFFIXES[type(value)]] = set(value._labelnames)
    return found


def asked(expression: str) -> set[str]:
    """The metrics that an expression reads. `kafka_consumergroup_lag_sum` is one of its own, and no histogram's."""
    names = re.findall(r"\b(?:sightstream|kafka)_[a-z_]+\b", expression)
    return {name if name in measured() else re.sub(r"_(?:bucket|sum|count)$", "", name) for name in names}
