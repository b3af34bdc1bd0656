"""Answers of any kind, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from sightstream.pipeline.cache.cached_answer import CachedAnswer, CachedImage
from sightstream.schemas.wire.question_answer import ChoiceProbability, Confidence

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
numbers = st.integers(0, 2**40)
sizes = st.integers(1, 2**31)
probabilities = st.floats(0, 1)
images = st.builds(
    CachedImage,
    bytes=numbers.map(lambda n: max(1, n)),
    format=st.sampled_from(["PNG", "JPEG"]),
    width=sizes,
    height=sizes,
    seen_size=st.none() | st.tuples(sizes, sizes),
    truncated=st.booleans(),
)
confidences = st.builds(
    Confidence,
    kind=st.sampled_from(["exact", "path", "top_logprobs", "none"]),
    value=st.none() | probabilities,
    choices=st.lists(st.builds(ChoiceProbability, value=texts, probability=probabilities), max_size=3).map(tuple),
    other=st.none() | probabilities,
    fields=st.dictionaries(texts, probabilities, max_size=3),
)
answers = st.builds(
    CachedAnswer,
    text=texts,
    finish_reason=st.sampled_from(["stop", "length", "repetition"]),
    prompt_tokens=numbers,
    completion_tokens=numbers,
    images=st.lists(images, min_size=1, max_size=4).map(tuple),
    reasoning=st.none() | texts,
    confidence=confidences,
)
