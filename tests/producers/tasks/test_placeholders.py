"""Placeholders are filled once, from left to right; what stands in a column is never read for placeholders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.producers.tasks.placeholders import MissingColumn, check_braces, columns, fill

names = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("What is {title}?", "What is a mug?"),
        ("{title}{title}", "a muga mug"),
        ("{{title}}", "{title}"),
        ("{{{title}}}", "{a mug}"),
        ("{{{{}}}}", "{{}}"),
        ("{two words}", "2"),
        ("plain", "plain"),
    ],
)
def test_columns_are_filled_in_and_doubled_braces_stay_braces(text: str, filled: str) -> None:
    check_braces(text)
    assert fill(text, {"title": "a mug", "two words": "2"}) == filled


@pytest.mark.parametrize(
    ("text", "at_character"),
    [("a {", 3), ("}", 1), ("{}", 1), ("{a}}", 4), ("{a{b}", 1), ("{a\nb}", 1), ("{" + "x" * 65 + "}", 1)],
)
def test_a_brace_that_belongs_to_no_placeholder_is_named(text: str, at_character: int) -> None:
    with pytest.raises(ValueError, match=rf"at character {at_character} belongs to no placeholder"):
        check_braces(text)


@given(st.lists(st.one_of(texts, names.map(lambda name: (name,)))), texts)
def test_what_a_column_holds_stays_as_it_is(parts: list[str | tuple[str]], value: str) -> None:
    written = "".join(
        part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else "{" + part[0] + "}" for part in parts
    )
    wanted = "".join(part if isinstance(part, str) else value for part in parts)
    needed = dict.fromkeys(part[0] for part in parts if not isinstance(part, str))
    check_braces(written)
    assert columns(written) == tuple(needed)
    assert fill(written, dict.fromkeys(needed, value)) == wanted


@given(st.text("{}ab", max_size=12))
def test_what_passes_the_check_reads_as_in_pythons_format(text: str) -> None:
    try:
        check_braces(text)
    except ValueError:
        return
    row = {name: f"<{name}>" for name in columns(text)}
    assert fill(text, row) == text.format(**row)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MissingColumn) as caught:
        fill("{title}", {"name": "mug"})
    assert caught.value.args == ("title",)


def test_a_long_text_of_braces_costs_linear_time() -> None:
    assert fill("{{" * 100_000 + "{a" * 100_000, {}).startswith("{{")
