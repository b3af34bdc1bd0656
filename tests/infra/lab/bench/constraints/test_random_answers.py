"""Whatever is written under the constraints and ends by itself passes the check: a thousand random answers."""

from __future__ import annotations

import pytest

from sightstream.infra.lab.bench.constraints.random_schemas import FORMATS, PATTERNS
from sightstream.infra.lab.bench.constraints.run import WalkReport, usable_formats, walk
from sightstream.pipeline.constraints.text_formats import PATTERNS as KNOWN_FORMATS
from tests.pipeline.constraints.formats import compiler

pytestmark = pytest.mark.slow


def test_no_random_answer_that_ended_is_refused() -> None:
    report = walk(compiler(), schemas=200, answers=5, seed=1)
    assert report.answers == 1000
    assert report.refused_answers == []
    assert report.cut < 100, "nearly all answers end, or nothing was tested"


def test_a_refused_answer_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without own patterns for formats, llguidance writes times that do not exist."""
    monkeypatch.setitem(KNOWN_FORMATS, "time", "[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
    report: WalkReport = walk(compiler(), schemas=60, answers=2, seed=3)
    assert report.refused_answers


def test_schemas_repeat_and_hold_every_kind() -> None:
    formats = list(usable_formats(200, seed=1))
    assert formats == list(usable_formats(200, seed=1))
    text = "".join(each.model_dump_json(by_alias=True) for each in formats)
    for word in ("anyOf", "prefixItems", "$ref", "enum", "const", "multipleOf", "maxLength", *FORMATS):
        assert f'"{word}"' in text, word
    assert sum(repr(pattern)[1:-1] in text or pattern.replace("\\", "\\\\") in text for pattern in PATTERNS) >= 8
