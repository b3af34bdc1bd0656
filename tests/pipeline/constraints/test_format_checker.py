"""New formats are checked in a process that a hostile one can't keep for long, and that nobody misses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightstream.pipeline.constraints.format_checker import FormatChecker
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat
from tests.pipeline.constraints.formats import json_format, object_format
from tests.pipeline.constraints.hostile_schemas import hostile_schemas

COLOUR = object_format(colour={"enum": ["red", "blue"]})
# The compiler needs the longest for it, of all hostile schemas that are not refused for their size.
SLOWEST = json_format(hostile_schemas("http://127.0.0.1:9/")["many ranges"])


@pytest.fixture
def checker() -> Iterator[FormatChecker]:
    checker = FormatChecker(cpu_s=0.05)
    yield checker
    checker.stop()


def refusal(checker: FormatChecker, schema: dict[str, object]) -> Rejected:
    with pytest.raises(Rejected) as refused:
        checker.check(json_format(schema))
    return refused.value


def test_a_format_that_keeps_the_compiler_busy_is_refused_and_the_next_one_is_checked(checker: FormatChecker) -> None:
    with pytest.raises(Rejected, match=r"more than 0.05 s of CPU time; write a simpler schema") as refused:
        checker.check(SLOWEST)
    assert (refused.value.reason, refused.value.stage) == (Reason.SCHEMA_UNUSABLE, Stage.TAKE)
    checker.check(COLOUR)


def test_the_slowest_schema_meets_the_limits_of_the_compiler_in_less_than_a_format_may_take() -> None:
    patient = FormatChecker()
    with pytest.raises(Rejected, match="too big"):
        patient.check(SLOWEST)
    patient.stop()


def test_what_can_not_be_used_is_refused_with_the_reason_and_ends_no_process(checker: FormatChecker) -> None:
    checker.check(ChoiceFormat(choices=("red", "red wine")))
    process = checker._process
    assert "anyOf" in str(refusal(checker, {"oneOf": [{"type": "string"}]}))
    assert "control character" in str(refusal(checker, {"enum": ["bell \x07"]}))
    assert checker._process is process


def test_a_known_format_needs_no_process_and_sections_never_do(checker: FormatChecker) -> None:
    checker.check(COLOUR)
    refused = refusal(checker, {"not": {"type": "string"}})
    checker.stop()
    checker.check(COLOUR)
    checker.check(SECTIONS_FORMAT)
    assert str(refusal(checker, {"not": {"type": "string"}})) == str(refused)
    assert checker._process is None


def test_a_process_that_is_killed_blames_no_format(checker: FormatChecker) -> None:
    checker.check(COLOUR)
    assert checker._process is not None
    checker._process._child.kill()
    with pytest.raises(Retryable, match="was killed"):
        checker.check(ChoiceFormat(choices=("red", "blue")))
    checker.check(ChoiceFormat(choices=("red", "blue")))


def test_a_format_that_needs_too_much_memory_is_refused() -> None:
    checker = FormatChecker(memory_bytes=4 << 20)
    with pytest.raises(Rejected, match="too much memory"):
        checker.check(SLOWEST)
    checker.stop()
