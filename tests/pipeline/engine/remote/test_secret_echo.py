"""A key that a server echoes, whole, in part or in another writing."""

from __future__ import annotations

import base64
from email.message import Message
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.remote.refusals import error_for
from sightstream.pipeline.engine.remote.secret_echo import HIDDEN, MIN_PART_CHARS, hide

KEY = "sk-canary+/0042=?x~Zq81"
WRITINGS = [
    KEY,
    KEY[:-1],
    KEY[1:],
    KEY.upper(),
    KEY[5:17],
    quote(KEY, safe=""),
    KEY.encode().hex(),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
    base64.b64encode(f"a{KEY}!".encode()).decode().rstrip("="),
]


@pytest.mark.parametrize("writing", WRITINGS)
def test_an_echo_is_hidden_and_what_is_around_it_stays(writing: str) -> None:
    shown = hide(f"İ incorrect key ({writing}) given", KEY)
    assert shown.startswith("İ incorrect key (")
    assert shown.endswith(") given")
    assert HIDDEN in shown
    assert KEY[2:10] not in shown


@given(st.text(st.characters(max_codepoint=126, min_codepoint=33), min_size=1, max_size=40), st.data())
def test_no_part_of_a_key_is_left(secret: str, data: st.DataObject) -> None:
    size = min(MIN_PART_CHARS, len(secret))
    begin = data.draw(st.integers(0, len(secret) - size))
    end = data.draw(st.integers(begin + size, len(secret)))
    shown = hide(f"<{secret[begin:end]}>", secret)
    assert secret[begin : begin + size] not in shown.replace(HIDDEN, "\n")


def test_an_error_shows_none_of_it() -> None:
    body = f'{{"error": {{"message": "no such key {KEY[:-1]}"}}}}'.encode()
    assert "canary" not in str(error_for(401, Message(), body, KEY))
    assert "no such key [hidden]" in str(error_for(401, Message(), body, KEY))
