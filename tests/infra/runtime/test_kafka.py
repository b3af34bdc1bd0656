"""The broker's file of properties."""

from __future__ import annotations

import pytest

from sightstream.infra.runtime.kafka import escaped


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("127.0.0.1:9092,a b=c#d", "127.0.0.1:9092,a b=c#d"),
        ("C:\\new", "C:\\u005cnew"),
        (" ü🙂\n", "\\u0020\\u00fc\\ud83d\\ude42\\u000a"),
    ],
)
def test_a_value_is_read_by_java_as_it_was(value: str, written: str) -> None:
    assert escaped(value) == written
