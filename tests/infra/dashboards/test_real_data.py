"""Every expression of the dashboards returns data from a real Prometheus that has scraped a real run."""

from __future__ import annotations

import json
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
from tests.infra.dashboards.peoples_dashboards import EXISTS_ONLY_IN_TROUBLE, EXPRESSIONS, VALUES
from tests.infra.watched_run import WatchedRun

pytestmark = pytest.mark.real

KIND = {"type": "choice", "choices": ["mug", "cap"]}
OF_A_GPU = "sightstream_gpu_"  # absent without one


@pytest.fixture
def run(runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> Iterator[WatchedRun]:
    settings: dict[str, object] = {
        "cache_kind": "memory",
        "worker_gpu_price_per_hour": 2,
        "cache_coalesce_in_flight": "true",
        "fetch_file_roots": json.dumps([str(tmp_path / "run"), str(tmp_path / "not-mounted")]),
    }
    with WatchedRun(runtime, topics, tmp_path / "run", f"dashboards-{uuid4().hex[:8]}", (), settings) as started:
        yield started


def be_busy(run: WatchedRun, bucket: str) -> None:
    """Let everything happen that a dashboard shows, and wait until all is done."""
    image = Path(run.harness.image().removeprefix("file://")).read_bytes()
    s3_client(run.runtime.s3_settings).put_object(Bucket=bucket, Key="a.png", Body=image)
    publish = run.harness.publish
    publish(3, question=f"{CRASH} please")  # a restart, retries, one dead letter for all three
    publish(10, each=lambda number: {"question": f"What is {number}?"})
    publish(10, each=lambda number: {"question": f"What is {number}?", "image": {"uri": f"s3://{bucket}/a.png"}})
    publish(2, response_format=KIND)
    publish(5)  # five equal ones
    publish(2, image={"uri": (run.folder / "missing.png").as_uri()})
    folder = run.folder.parent / "not-mounted"
    publish(8, image={"uri": (folder / "a.png").as_uri()})  # so many open the breaker
    run.wait_for(lambda: run.value("sightstream_worker_breaker_open") == 1, "an open breaker")
    run.wait_for(lambda: bool(run.query("sightstream_answer_confidence_count")), "a confidence")
    publish(2, question="What else?", response_format=KIND)  # a rate needs another value than the first that was seen
    folder.mkdir()
    (folder / "a.png").write_bytes(image)
    published = run.harness.published
    run.wait_for(lambda: run.value("sum(sightstream_store_rows_total)") == published, f"{published} rows")


def filled(expression: str, run: WatchedRun) -> str:
    """The expression with what Grafana puts in place of its variables."""
    values = {"$__rate_interval": "1m", "$__range": "5m", "$group": run.group, "$instance": ".+"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return expression


def of_other_dashboards(run: WatchedRun) -> set[str]:
    """What dashboards ask for that people already have."""
    values = {**VALUES, "$instance": run.instance("lag")}
    found = set(EXPRESSIONS) - EXISTS_ONLY_IN_TROUBLE
    for variable, value in values.items():
        found = {expression.replace(variable, value) for expression in found}
    return found


def has_data(samples: list[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(sample["value"][1])) for sample in samples)


def test_every_expression_returns_data(run: WatchedRun, bucket: str) -> None:
    run.start("lag", "store", "lookup", "worker-0")
    be_busy(run, bucket)
    with suppress(HTTPError), urlopen(f"http://{run.instance('lookup')}/products/p1", timeout=10):
        pass  # a lookup is counted, whatever the table knows by now
    panels = (panel for each in DASHBOARDS for row in each.rows for panel in row.panels)
    ours = {query.expression for panel in panels for query in panel.queries if OF_A_GPU not in query.expression}
    expressions = {filled(each, run) for each in ours} | of_other_dashboards(run)

    def empty() -> list[str]:
        return sorted(each for each in expressions if not has_data(run.query(each)))

    with suppress(AssertionError):
        run.wait_for(lambda: not empty(), "data for every expression", 20)
    assert empty() == []
