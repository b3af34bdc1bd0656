"""Every ready task goes through the whole flow: each of its questions is answered in its format, or skipped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sightstream.pipeline.build import build_flow
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.requests import build_request
from sightstream.producers.tasks.read import read_task, ready_tasks
from sightstream.producers.tasks.rows import with_task
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import ImageResultV2
from tests.readme.pages import ROOT

pytestmark = pytest.mark.slow

IMAGE = ROOT / "docs/img/sku-17-front.jpg"


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    fetch = FetchSettings(file_roots=(IMAGE.parent,))
    engine = EngineSettings(kind="simulated")
    started = build_flow(
        FlowSettings(), fetch, S3Settings(), DecodeSettings(processes=1), engine, CacheSettings(kind="none")
    )
    yield started
    started.stop()


def request_of(path: Path) -> ImageRequest:
    item = Item(path.stem, b"", {"product_id": "sku-17", "image": {"uri": IMAGE.as_uri()}})
    return build_request(with_task(item, read_task(path)), None, AnalysisOptions(), datetime.now(UTC))


@pytest.mark.parametrize("path", ready_tasks(), ids=lambda path: path.stem)
def test_every_question_is_answered_in_its_format_or_skipped_by_its_condition(path: Path, flow: Flow) -> None:
    request = request_of(path)
    flow.submit("only", request)
    while not (outcomes := flow.collect(1.0)):
        pass
    result = outcomes[0].result
    assert isinstance(result, ImageResultV2), result
    assert result.task == request.task
    assert [answer.id for answer in result.answers] == [question.id for question in request.all_questions]
    for question, answer in zip(request.all_questions, result.answers, strict=True):
        assert answer.status == "answered" or (answer.status == "skipped" and question.when is not None), answer
        if answer.status == "answered":
            assert answer.valid
            parsed = parse_value(question.response_format, answer.raw_text)
            assert (parsed.problem, parsed.value) == (None, answer.value)
