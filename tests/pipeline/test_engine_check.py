"""What an engine can't do is refused with the question that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightstream.pipeline.engine_check import EngineCheck
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT
from tests.pipeline.constraints.formats import json_format
from tests.pipeline.samples import request


@pytest.fixture
def check() -> Iterator[EngineCheck]:
    check = EngineCheck(max_images=4)
    yield check
    check.stop()


def test_a_format_that_no_answer_fits_is_refused_with_the_name_of_its_question(check: EngineCheck) -> None:
    good = Question(id="good", text="?", response_format=json_format({"enum": ["a", "b"]}))
    bad = Question(
        id="size", text="?", response_format=json_format({"type": "string", "pattern": "^a$", "minLength": 3})
    )
    check.check(request(question=None, questions=(good,)))
    with pytest.raises(Rejected, match="the format of the question size: ") as refused:
        check.check(request(question=None, questions=(good, bad)))
    assert refused.value.reason is Reason.SCHEMA_UNUSABLE


def test_a_request_of_version_1_and_sections_start_no_process(check: EngineCheck) -> None:
    check.check(request())
    check.check(request(schema_version=2, response_format=SECTIONS_FORMAT))
    assert check._formats._process is None
