"""Patterns mean the same for what writes an answer and for what checks it, or they are refused."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.constraints.pattern import translate_pattern
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.constraints.value import parse_value
from sightstream.schemas.wire.response_format import JsonSchemaFormat
from tests.pipeline.constraints.formats import ENDS, allowed, compiler, json_format

SAME = (
    r"^\d{3}$", r"^\w{3}$", r"^\W{3}$", r"^\D{3}$", r"^\s{3}$", r"^\S{3}$", "^.{3}$", "^[^a]{3}$", r"^\p{L}{3}$",
    r"^\p{Lu}\P{L}$", r"^[\w.]{3}$", r"^[^\w]{3}$", r"^[^\d\s]{3}$", r"^[\s]{2}$", "^a+?b$", "^a++$", r"^\u00e9+$",
    r"^\x41$", "^[à-ÿ]{3}$", r"^\n$", "^a|b$", "", "^$", r"^\.{2}$", r"^\$\d+$", "^[-a]{2}$", r"^\t\r$", r"^[\]a]$",
    "^(?:ab)*$", r"^\p{Script=Han}+$", "sale", "^]$", '^["/\\\\]{3}$',
)  # fmt: skip
NOT_SUPPORTED = (
    "(?i)a", "(?=a)b", "(?<n>a)", r"\ba", r"^\v$", r"^\0$", r"(a)\1", r"^\cA$", "^[[:alpha:]]$", "^[a&&b]$", "^[a--b]$",
    "^[]a]$", "^[^]$", r"^[\S]$", "a^", "$a", "(^a|b)c", "a(b$)", "^*a", "^\x01$", r"^\x01$", r"^\u007f$", "a\\",
)  # fmt: skip


@pytest.mark.parametrize("pattern", SAME)
def test_what_is_written_to_a_pattern_passes_the_check(pattern: str) -> None:
    response_format = json_format({"type": "string", "pattern": pattern})
    rng = random.Random(1)
    ended = [text for _ in range(30) if (text := _write(compiler().start(response_format), rng)) is not None]
    assert ended, "no answer ended"
    assert [text for text in ended if not _is_valid(response_format, text)] == []


def _write(constraint: TokenConstraint, rng: random.Random) -> bytes | None:
    written: list[int] = []
    for _ in range(40):
        tokens = allowed(constraint)
        ends = np.intersect1d(tokens, sorted(ENDS))
        if len(ends):
            return b"".join(compiler().pieces(written))
        quote = tokens[tokens == 1]
        token = int(quote[0] if len(quote) and rng.random() < 0.3 else rng.choice(tokens.tolist()))
        constraint.accept(token)
        written.append(token)
    return None


def _is_valid(response_format: JsonSchemaFormat, text: bytes) -> bool:
    return parse_value(response_format, text.decode()).valid


@pytest.mark.parametrize("pattern", NOT_SUPPORTED)
def test_what_both_may_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="support"):
        translate_pattern(pattern)


@given(st.text("abc019 äé", max_size=20) | st.text(max_size=30).map(re.escape))
def test_plain_text_stays_as_it_is_or_is_refused(pattern: str) -> None:
    try:
        assert translate_pattern(pattern) == pattern
    except ValueError as error:
        assert "support" in str(error)  # noqa: PT017 - either is right
