"""Keys are equal exactly where the answers are equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.cache.key import answer_key, question_key
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.result import ModelIdentity
from tests.pipeline.samples import MODEL, key

options = st.builds(
    AnalysisOptions,
    max_tokens=st.integers(1, 4096),
    temperature=st.sampled_from([0.0, 1e-9, 0.5, 2.0]),
    top_p=st.sampled_from([0.1, 0.9, 1.0]),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
questions = st.tuples(st.sampled_from([key(1), key(2)]), st.text(max_size=5), options)


def deciding_parts(asked: tuple[str, str, AnalysisOptions]) -> tuple[object, ...]:
    """Return what the answer depends on, stated independently of the code."""
    image, question, options_ = asked
    how = (options_.temperature, options_.top_p, options_.seed) if options_.temperature > 0 else ()
    return (image, question, options_.max_tokens, how)


@given(questions, questions)
def test_equal_questions_and_only_they_have_equal_keys(
    one: tuple[str, str, AnalysisOptions], other: tuple[str, str, AnalysisOptions]
) -> None:
    keys = question_key(*one), question_key(*other)
    if None not in keys:
        assert (keys[0] == keys[1]) == (deciding_parts(one) == deciding_parts(other))


@given(options, options)
def test_options_that_decide_nothing_do_not_change_the_key(one: AnalysisOptions, other: AnalysisOptions) -> None:
    are_equal = deciding_parts(("", "", one)) == deciding_parts(("", "", other))
    keys = question_key(key(), "what?", one), question_key(key(), "what?", other)
    if None not in keys:
        assert (keys[0] == keys[1]) == are_equal


def test_random_sampling_has_a_key_only_with_a_seed() -> None:
    assert question_key(key(), "what?", AnalysisOptions(temperature=0.1)) is None
    assert question_key(key(), "what?", AnalysisOptions(temperature=0.1, seed=7)) is not None
    assert question_key(key(), "what?", AnalysisOptions(temperature=0.0)) is not None


def test_any_text_has_a_key() -> None:
    odd = ["", "é", "e\u0301", "\ud800", "\\ud800", '","options":{}', "\0"]
    assert len({question_key(key(), text, AnalysisOptions()) for text in odd}) == len(odd)


@pytest.mark.parametrize("field", ModelIdentity.model_fields)
def test_each_part_of_the_models_identity_changes_the_key(field: str) -> None:
    value = key("weights") if field == "weights_sha256" else "another"
    assert answer_key(key(), MODEL, "r") != answer_key(key(), MODEL.model_copy(update={field: value}), "r")


def test_the_question_and_the_fingerprint_change_the_key() -> None:
    assert len({answer_key(question, MODEL, fingerprint) for question in (key(1), key(2)) for fingerprint in "rs"}) == 4


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    """Raise the version of the key rather than this."""
    question = question_key("a" * 64, "what?", AnalysisOptions(max_tokens=7))
    assert question == "247c6afa5a1af1fede624a98c1fc86129f30a2a990c91bb3d8c684e5d849884b"
    assert answer_key(question, MODEL, "r") == "0ac57d33aa1bb6f8f049d0e39fccc3b814a1ceaccc93ea9c8e8e8eabd28d7c12"
