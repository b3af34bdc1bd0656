"""Parsing of the four sections, and of what models write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.answer import SECTIONS, parse
from sightstream.schemas.wire.result import Answer

TAGGED = "<SUMMARY>s</SUMMARY>\n<CAPTION>c</CAPTION> <REASONING>r</REASONING><CONCLUSION>k</CONCLUSION>"
WHOLE = Answer(summary="s", caption="c", reasoning="r", conclusion="k")


@pytest.mark.parametrize(
    "text",
    [
        TAGGED,
        TAGGED.lower(),
        "<SUMMARY>s<CAPTION>c<REASONING>r<CONCLUSION>k",
        "<SUMMARY> s </SUMMARY>noise<CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>k",
        "".join(
            f"(Here begins the {name} stage)\n{text}\n(Here ends the {name} stage)\n"
            for name, text in zip(SECTIONS, "scrk", strict=True)
        ),
        "SUMMARY: s\nCAPTION: c\n**REASONING:** r\n- CONCLUSION: k",
        "<SUMMARY></SUMMARY>" + TAGGED,
        "<SUMMARY><SUMMARY>" + TAGGED.removeprefix("<SUMMARY>"),
        TAGGED + TAGGED.replace(">s<", ">other<"),
    ],
)
def test_every_known_form_is_complete(text: str) -> None:
    parsed = parse(text)
    assert parsed.answer == WHOLE
    assert parsed.complete


@pytest.mark.parametrize("mentioned", ["SUMMARY", "Caption", "conclusion", "b"])
def test_a_tag_that_is_mentioned_cuts_nothing(mentioned: str) -> None:
    body = f"the <{mentioned}> above"
    text = TAGGED.replace(">r<", f">{body}<")
    assert parse(text).answer == WHOLE.model_copy(update={"reasoning": body})
    assert parse(text).complete


@pytest.mark.parametrize(
    "piece", ["<SUMMARY>", "<CAPTION><SUMMARY>", "</SUMMARY>", "<SUMMARY></SUMMARY>", "SUMMARY:\n"]
)
def test_many_tags_take_linear_time(piece: str) -> None:
    """A quadratic search would need minutes."""
    assert not parse("<REASONING>r" + piece * 100_000).complete


def test_a_cut_tail_keeps_the_text_so_far() -> None:
    parsed = parse("<SUMMARY>s</SUMMARY><CAPTION>half a capt")
    assert parsed.answer == Answer(summary="s", caption="half a capt")
    assert not parsed.complete


def test_an_empty_section_is_not_complete() -> None:
    assert not parse(TAGGED.replace(">c<", "> <")).complete


def test_text_without_sections_is_the_conclusion() -> None:
    assert parse(" A red mug. ").answer == Answer(conclusion="A red mug.")
    assert not parse("A red mug.").complete


@pytest.mark.parametrize("filler", ["\n", "-", "* ", "#", "< "])
def test_long_runs_of_filler_take_linear_time(filler: str) -> None:
    """A quadratic search would need minutes."""
    assert not parse("x" + filler * 200_000 + "x").complete


def test_control_characters_do_not_pass() -> None:
    assert parse("<SUMMARY>a\x00\x1b[31mb\nc</SUMMARY>").answer.summary == "a[31mb\nc"


bodies = st.text(st.characters(exclude_characters="<>()", exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip)


TAGS = [tag for name in SECTIONS for tag in (f"<{name}>", f"</{name}>")]


@given(st.lists(st.sampled_from(["", " ", "text", " a > b\n", "<b>", "<CAPTION>"]), min_size=9, max_size=9))
def test_the_usual_form_is_read_as_any_other(gaps: list[str]) -> None:
    """With something before it, the same text is not of the usual form."""
    text = "".join(gap + tag for gap, tag in zip(gaps, [*TAGS[:-1], "k" + TAGS[-1], ""], strict=True))
    assert parse(text) == parse("<" + text)


@given(st.lists(bodies.filter(bool), min_size=4, max_size=4))
def test_tagged_sections_come_back(texts: list[str]) -> None:
    text = "".join(f"<{name}>{body}</{name}>" for name, body in zip(SECTIONS, texts, strict=True))
    assert list(parse(text).answer.model_dump().values()) == texts


@given(
    st.text()
    | st.lists(st.sampled_from([*SECTIONS, "<", ">", "</", ":", "\n", "(Here begins the ", " stage)"])).map("".join)
)
def test_no_text_raises(text: str) -> None:
    parse(text)
