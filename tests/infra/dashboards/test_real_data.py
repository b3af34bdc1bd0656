"""Every expression of the dashboards returns data from a real Prometheus that has scraped a real run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import pytest

from sightstream.infra.dashboards.__main__ import DASHBOARDS
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.pipeline.engine.simulated import CRASH
from sightstream.schemas.connections.s3_client import s3_client
from sightstream.schemas.wire.topics import TopicSettings
from tests.infra.watched_run import WatchedRun

pytestmark = pytest.mark.real


@pytest.fixture
def run(runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> Iterator[WatchedRun]:
    settings: dict[str, object] = {
        "cache_kind": "memory",
        "cache_coalesce_in_flight": "true",
        "worker_breaker_failures": 1,
    }
    with WatchedRun(runtime, topics, tmp_path, f"dashboards-{uuid4().hex[:8]}", (), settings) as started:
        yield started


def busy(run: WatchedRun, bucket: str) -> int:
    """Let everything happen that a dashboard shows, and return how many requests have an outcome."""
    image = Path(run.harness.image().removeprefix("file://")).read_bytes()
    s3_client(run.runtime.s3_settings).put_object(Bucket=bucket, Key="a.png", Body=image)
    publish = run.harness.publish
    publish(3, question=f"{CRASH} please")  # a restart, retries, one dead letter for all three
    publish(10, each=lambda number: {"question": f"What is {number}?"})
    publish(10, each=lambda number: {"question": f"What is {number}?", "image": {"uri": f"s3://{bucket}/a.png"}})
    publish(5)
    publish(2, image={"uri": (run.folder / "missing.png").as_uri()})
    answered = run.harness.published
    publish(1, image={"uri": f"s3://missing-{bucket}/a.png"})  # waits for its bucket
    return answered


def filled(expression: str, run: WatchedRun) -> str:
    """The expression with what Grafana puts in place of its variables."""
    values = {"$__rate_interval": "1m", "$__range": "5m", "$group": run.group, "$instance": ".+"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return expression


def has_data(samples: list[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(sample["value"][1])) for sample in samples)


def test_every_expression_returns_data(run: WatchedRun, bucket: str) -> None:
    run.start("lag", "store", "lookup", "worker-0")
    answered = busy(run, bucket)
    rows = "sum(sightstream_store_rows_total) or vector(0)"
    run.wait_for(lambda: run.value(rows) == answered, f"{answered} rows")
    with suppress(HTTPError), urlopen(f"http://{run.instance('lookup')}/products/p1", timeout=10):
        pass  # a lookup is counted, whatever the table knows by now
    expressions = {
        query.expression for each in DASHBOARDS for row in each.rows for panel in row.panels for query in panel.queries
    }

    def empty() -> list[str]:
        return sorted(each for each in expressions if not has_data(run.query(filled(each, run))))

    try:
        run.wait_for(lambda: not empty(), "data for every expression", 20)
    except AssertionError:
        assert empty() == []
