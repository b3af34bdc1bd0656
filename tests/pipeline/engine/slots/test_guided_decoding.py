"""Checks guided decoding token by token, on a toy tokenizer and on that of the embedded model."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.infra.lab.demo_model.answers import FAMILIES, answer_text
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.pictures import sample_spec
from sightstream.pipeline.answer import SECTIONS, parse
from sightstream.pipeline.engine.slots.guided_decoding import GuidedAnswer, token_policy
from sightstream.pipeline.engine.slots.section_plan import SectionPlan
from sightstream.pipeline.engine.slots.token_policy import FreeAnswer, TokenPolicy
from sightstream.schemas.wire.result import Answer

pytestmark = pytest.mark.slow

LLAMA_LIKE = ["</", "<", ">", "><", ">\n\n", "SUM", "MARY", "CAPTION", "RE", "ASON", "ING", "CON", "CLUSION"]
PIECES = ["<end>", "[eom]", *LLAMA_LIKE, ".</", "/", "\n\n", " ", "a", "b", "."]
# Tokens that a model may sample but that no text is written with.
ODD = ["</SUMMARY><CAPTION>", "a</CAPTION>b", "<CAPTION>", "Y>\n\n<CAP", "<C", "<SUMMARY>", "</CON", "\ufffd<", ""]


class Toy:
    """Writes the longest piece that fits, else single characters; every text has its tokens."""

    def __init__(self) -> None:
        letters = sorted({letter for piece in PIECES[2:] for letter in piece} - set(PIECES))
        self.texts = [*PIECES, *letters, *ODD]
        self._written = [text for text in self.texts[2:] if text not in ODD]

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        assert not add_special_tokens
        tokens = []
        while text:
            piece = max((piece for piece in self._written if text.startswith(piece)), key=len)
            tokens.append(self.texts.index(piece))
            text = text.removeprefix(piece)
        return tokens

    def decode(self, tokens: list[int], /) -> str:
        return "".join(self.texts[token] for token in tokens)


TOY = Toy()
END, EOM = 0, 1
ENDS = frozenset({END, EOM})
PLAN = SectionPlan(TOY, ENDS, "\n\n")
TIGHT = SectionPlan(TOY, ENDS, "")
WHOLE = "<SUMMARY>a</SUMMARY>\n\n<CAPTION>b</CAPTION>\n\n<REASONING>a b</REASONING>\n\n<CONCLUSION>b.</CONCLUSION>"
FLOOR = next(limit for limit in range(1000) if PLAN.fits(limit))


def ids(*pieces: str) -> list[int]:
    return [TOY.texts.index(piece) for piece in pieces]


def run(answer: TokenPolicy, sampled: Iterable[int]) -> TokenPolicy:
    """Calls `say` until the answer has ended, and counts."""
    for calls, token in enumerate(sampled, start=1):
        answer.accept(token)
        assert answer.num_tokens == calls
        if answer.finish_reason:
            return answer
    raise AssertionError(f"not ended: {TOY.decode(answer.tokens)}")


def guided(*pieces: str, plan: SectionPlan = PLAN, max_tokens: int = 1000) -> tuple[str, str | None]:
    """Text and finish reason when a model says these pieces, deaf to what is fed, and end tokens after them.

    A piece "*" stands for what is sampled, and not wanted, at one fed token.
    """
    sampled = [END if piece == "*" else TOY.texts.index(piece) for piece in pieces]
    answer = run(GuidedAnswer(plan, max_tokens), chain(sampled, repeat(END)))
    return TOY.decode(answer.tokens), answer.finish_reason


def test_a_free_answer_stops_at_an_end_token() -> None:
    answer = run(FreeAnswer(ENDS, 9), ids("a", "b", "[eom]", "a"))
    assert (answer.tokens, answer.finish_reason, answer.num_tokens) == (ids("a", "b"), "stop", 3)


def test_a_free_answer_is_cut_at_its_limit() -> None:
    answer = run(FreeAnswer(ENDS, 2), ids("a", "b", "<end>"))
    assert (answer.tokens, answer.finish_reason, answer.num_tokens) == (ids("a", "b"), "length", 2)


def test_an_end_token_at_the_limit_is_a_stop() -> None:
    answer = run(FreeAnswer(ENDS, 3), ids("a", "b", "<end>"))
    assert (answer.tokens, answer.finish_reason, answer.num_tokens) == (ids("a", "b"), "stop", 3)


@pytest.mark.parametrize("plan", [PLAN, TIGHT])
def test_what_has_its_sections_anyway_is_left_as_it_is(plan: SectionPlan) -> None:
    tokens = TOY.encode(WHOLE.replace("\n\n", plan.separator))
    answer = run(GuidedAnswer(plan, 400), [*tokens, END])
    assert answer.tokens == tokens
    assert (answer.finish_reason, answer.num_tokens) == ("stop", len(tokens))  # the end token was not needed


def test_the_opening_tag_is_fed_whatever_is_sampled() -> None:
    answer = GuidedAnswer(PLAN, 400)
    assert [answer.accept(token) for token in ids("a", "<end>", "\n\n", "><", "b")] == ids("<", "SUM", "MARY", ">", "b")


@pytest.mark.parametrize("end", [END, EOM])
def test_end_tokens_alone_give_four_empty_sections(end: int) -> None:
    answer = run(GuidedAnswer(TIGHT, 1000), repeat(end))
    assert TOY.decode(answer.tokens) == "".join(f"<{name}></{name}>" for name in SECTIONS)
    assert (answer.finish_reason, answer.num_tokens) == ("stop", len(answer.tokens))


S = ("*",) * 4  # the tokens of <SUMMARY>


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (("a", "</", "SUM", "MARY", ">"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "</", "SUM", "MARY", ">\n\n"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "<", "/", "S", "U", "M", "M", "A", "R", "Y", ">"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", ".</", "SUM", "MARY", ">"), "a.</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("<", "</", "SUM", "MARY", "><"), "<</SUMMARY><\n\n<CAPTION></CAPTION>"),
        (("</SUMMARY><CAPTION>",), "</SUMMARY><CAPTION>\n\n<CAPTION></CAPTION>"),
        (("</", "SUM", "b", "MARY", ">", "a"), "</SUMbMARY>a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "</", "SUM", "<end>"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "<", "<end>"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "</CON", "<end>"), "a</CON</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "\n\n", "<", "CAPTION"), "a\n\n</SUMMARY>\n\n<CAPTION></CAPTION>"),  # moves on without closing
        (("a", "<CAPTION>"), "a</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "<", "RE", "ASON", "ING", ">"), "a<REASON</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("a", "<", "CON", "a"), "a<CONa</SUMMARY>\n\n<CAPTION></CAPTION>"),
        (("<SUMMARY>", "a"), "<SUMMARY>a</SUMMARY>\n\n<CAPTION></CAPTION>"),  # its own tag once more is just text
    ],
)
def test_how_a_section_ends(said: tuple[str, ...], text: str) -> None:
    end = "\n\n<REASONING></REASONING>\n\n<CONCLUSION></CONCLUSION>"
    assert guided(*S, *said) == (f"<SUMMARY>{text}{end}", "stop")


def test_what_follows_a_tag_in_its_token_is_not_said_twice() -> None:
    end = "<CAPTION></CAPTION><REASONING></REASONING><CONCLUSION></CONCLUSION>"
    assert guided(*S, "a", "</SUMMARY><CAPTION>", plan=TIGHT) == (f"<SUMMARY>a</SUMMARY>{end}", "stop")
    assert guided(*S, "a", "</", "SUM", "MARY", "><", plan=TIGHT) == (f"<SUMMARY>a</SUMMARY>{end}", "stop")


def test_the_last_tag_ends_the_answer_within_a_token() -> None:
    tokens = TOY.encode(WHOLE.removesuffix(">"))
    answer = run(GuidedAnswer(PLAN, 400), [*tokens, *ids("><")])
    assert TOY.decode(answer.tokens) == WHOLE + "<"
    assert (answer.finish_reason, answer.num_tokens) == ("stop", len(tokens) + 1)


def test_endless_sections_share_the_room() -> None:
    answer = run(GuidedAnswer(PLAN, FLOOR + 60), repeat(ids("a")[0]))
    assert list(map(len, parse(TOY.decode(answer.tokens)).answer.model_dump().values())) == [25, 25, 30, 20]
    assert (answer.finish_reason, answer.num_tokens) == ("length", FLOOR + 60)


def test_what_a_section_leaves_the_later_ones_may_use() -> None:
    short = chain(ids("a", "a", "a", "a", "<end>"), repeat(ids("a")[0]))
    answer = run(GuidedAnswer(PLAN, FLOOR + 60), short)
    assert list(map(len, parse(TOY.decode(answer.tokens)).answer.model_dump().values())) == [0, 33, 40, 27]
    assert (answer.finish_reason, answer.num_tokens) == ("length", FLOOR + 60)


SUMMARY_BUDGET = ("a",) * 10  # at FLOOR


@pytest.mark.parametrize(
    ("said", "body", "ended"),
    [
        ((*SUMMARY_BUDGET, "a"), "a" * 10, "length"),
        ((*SUMMARY_BUDGET, ".</"), "a" * 10, "length"),
        ((*SUMMARY_BUDGET, ""), "a" * 10, "length"),
        ((*SUMMARY_BUDGET, "</"), "a" * 10, "stop"),  # it was closing by itself
        ((*SUMMARY_BUDGET, "<end>"), "a" * 10, "stop"),
        ((*SUMMARY_BUDGET, "<CAPTION>"), "a" * 10, "stop"),
        ((*SUMMARY_BUDGET[2:], "</", "SUM", "MARY"), "a" * 8, "stop"),
        ((*SUMMARY_BUDGET[2:], "</", "SUM", "a"), "a" * 8, "length"),
        ((*SUMMARY_BUDGET[3:], "</", "SUM", "MARY", ">\n\n"), "a" * 7, "stop"),
        ((*SUMMARY_BUDGET[1:], "<C", "SUM"), "a" * 9 + "<C", "length"),
    ],
)
def test_only_a_budget_that_cuts_says_length(said: tuple[str, ...], body: str, ended: str) -> None:
    text, reason = guided(*S, *said, max_tokens=FLOOR)
    assert (parse(text).answer, reason) == (Answer(summary=body), ended)


def test_a_small_limit_is_answered_freely() -> None:
    tags = "\n\n".join(f"<{name}></{name}>" for name in SECTIONS)
    assert len(TOY.encode(tags.replace("><", "> <"))) - 4 + 40 == FLOOR
    assert isinstance(token_policy(PLAN, ENDS, FLOOR), GuidedAnswer)
    assert isinstance(token_policy(PLAN, ENDS, FLOOR - 1), FreeAnswer)
    assert isinstance(token_policy(None, ENDS, 4096), FreeAnswer)


tags = st.sampled_from([TOY.encode(f"<{slash}{name}>") for name in SECTIONS for slash in ("", "/")])
any_token = st.integers(0, len(TOY.texts) - 1)
words = st.builds(lambda tag, end: tag[:end], tags, st.integers(1, 5)) | any_token.map(lambda token: [token])
streams = st.lists(words, min_size=40, max_size=150).map(lambda parts: [*chain.from_iterable(parts)])
tails = st.sampled_from(ids("a", "<end>", "<", "</"))
closed_in_order = re.compile(".*".join(f"<{name}>.*</{name}>" for name in SECTIONS) + ".*", re.DOTALL)


@settings(deadline=None)
@given(streams, tails, st.integers(FLOOR, FLOOR + 200), st.sampled_from([PLAN, TIGHT]))
def test_any_stream_gives_four_closed_sections(stream: list[int], tail: int, limit: int, plan: SectionPlan) -> None:
    answer = run(GuidedAnswer(plan, limit), chain(stream, repeat(tail)))
    text = TOY.decode(answer.tokens)
    assert closed_in_order.fullmatch(text)
    assert len(answer.tokens) == answer.num_tokens <= limit
    assert not ENDS.intersection(answer.tokens)
    again = run(GuidedAnswer(SectionPlan(TOY, ENDS, plan.separator), limit), chain(stream, repeat(tail)))
    assert (again.tokens, again.finish_reason) == (answer.tokens, answer.finish_reason)


@settings(deadline=None)
@given(streams, st.integers(FLOOR, FLOOR + 200))
def test_length_says_that_a_section_was_cut(stream: list[int], limit: int) -> None:
    """Cut means: without the limit the model would have said something else, and not the closing tag."""
    sampled = [*stream, *repeat(END, 400)]
    answer, boundless = (run(GuidedAnswer(PLAN, max_tokens), sampled) for max_tokens in (limit, 100_000))
    said = zip(answer.tokens, boundless.tokens, strict=False)
    parting = next((at for at, (one, other) in enumerate(said) if one != other), None)
    assert boundless.finish_reason == "stop"
    if parting is None:
        assert (answer.tokens, answer.finish_reason) == (boundless.tokens, "stop")
    elif answer.finish_reason == "stop":
        before, text = (TOY.decode(boundless.tokens[:end]) for end in (parting, parting + 1))
        closings = [f"</{name}>" for name in SECTIONS]
        begun = tuple(closing[:end] for closing in closings for end in range(1, len(closing)))
        whole_now = any(closing in text[-len(closing) - len(text) + len(before) :] for closing in closings)
        assert before.endswith(begun) or text.endswith(begun) or whole_now


bodies_said = st.lists(st.text("ab. \n", min_size=1).filter(lambda body: body[0] in "ab"), min_size=4, max_size=4)


@settings(deadline=None)
@given(bodies_said, st.sampled_from([PLAN, TIGHT]))
def test_a_model_that_knows_the_form_is_never_corrected(bodies: list[str], plan: SectionPlan) -> None:
    sections = [f"<{name}>{body}</{name}>" for name, body in zip(SECTIONS, bodies, strict=True)]
    tokens = TOY.encode(plan.separator.join(sections))
    answer = run(GuidedAnswer(plan, 10_000), [*tokens, END])
    assert (answer.tokens, answer.finish_reason) == (tokens, "stop")
    assert parse(TOY.decode(answer.tokens)).complete


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_true_answers_of_the_demo_model_are_not_touched(tokenizer: Any, family: Any) -> None:
    ends = frozenset({846, 841, 845})
    plan = SectionPlan(tokenizer, ends, "")
    rng = random.Random(family)
    for _ in range(20):
        tokens = tokenizer.encode(answer_text(sample_spec(rng).labels, family), add_special_tokens=False)
        answer = run(token_policy(plan, ends, 160), [*tokens, 846])
        assert (answer.tokens, answer.finish_reason, answer.num_tokens) == (tokens, "stop", len(tokens))


def test_the_demo_models_tags_are_fed_as_it_writes_them(tokenizer: Any) -> None:
    plan = SectionPlan(tokenizer, frozenset({846}), "")
    answer = run(token_policy(plan, plan.ends, 100), repeat(846))
    assert answer.tokens == tokenizer.encode("".join(f"<{name}></{name}>" for name in SECTIONS))[-8:]


def test_a_tag_that_would_cost_too_much_to_finish_is_written_anew(tokenizer: Any) -> None:
    """One token is a whole tag here: to finish a spelt one takes ten."""
    plan = SectionPlan(tokenizer, frozenset({846}), "")
    answer = run(token_policy(plan, plan.ends, 62), repeat(tokenizer.encode("<", add_special_tokens=False)[0]))
    assert [len(body) for body in parse(tokenizer.decode(answer.tokens)).answer.model_dump().values()] == [
        13,
        13,
        16,
        12,
    ]
    assert (answer.finish_reason, answer.num_tokens) == ("length", 62)
