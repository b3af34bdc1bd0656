"""Hypothesis strategies for everything that is valid on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from hypothesis import strategies as st

from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import MAX_DETAIL_CHARS, Failure, Reason, RecordId, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.question_answer import ChoiceProbability, Confidence, QuestionAnswer
from sightstream.schemas.wire.redrive import History, LetterId, RedriveMarker
from sightstream.schemas.wire.request import ImageRef, ImageRequest, TaskRef
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, SectionsFormat
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.result_v2 import ImageResultV2, SeenImageV2
from tests.schemas.wire.json_schemas import schemas

SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
ODD = '"\\/[]{}:,\x7f\u0085\u2028\ufeffé漢👗'
identifiers = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from(ODD.replace("\x7f", "")), min_size=1, max_size=40
)
prose = st.text(
    st.characters(exclude_categories=SURROGATES, exclude_characters="\x00") | st.sampled_from(ODD), max_size=80
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
uris = st.from_regex(r"(s3|https|file)://[a-z0-9./%?=&-]{1,40}", fullmatch=True)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))) | st.just(UTC)
instants = st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30), timezones=zones)
attributes = st.dictionaries(identifiers, prose, max_size=4)

image_refs = st.builds(ImageRef, uri=uris, version_id=st.none() | identifiers, sha256=st.none() | digests)
texts = prose.filter(bool)
token_caps = st.integers(1, 4096)
temperatures = st.floats(0, 2)
top_ps = st.floats(0, 1, exclude_min=True)
seeds = st.integers(0, 2**63 - 1)
options = st.builds(
    AnalysisOptions, max_tokens=token_caps, temperature=temperatures, top_p=top_ps, seed=st.none() | seeds
)

requests = st.builds(
    ImageRequest,
    request_id=identifiers,
    product_id=identifiers,
    image=image_refs,
    question=texts,
    options=options,
    submitted_at=instants,
    deadline=st.none() | instants,
    attributes=attributes,
)

question_ids = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
json_formats = st.builds(
    JsonSchemaFormat,
    json_schema=st.builds(
        JsonSchema,
        name=st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True),
        schema=schemas,
        strict=st.sampled_from([None, True]),
    ),
)
choice_formats = st.builds(ChoiceFormat, choices=st.lists(texts, min_size=2, max_size=6, unique=True).map(tuple))
formats = st.just(SectionsFormat()) | json_formats | choice_formats
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | prose


@st.composite
def question_lists(draw: st.DrawFn) -> tuple[Question, ...]:
    """Up to four questions, some of which depend on an earlier one."""
    ids = draw(st.lists(question_ids, min_size=1, max_size=4, unique=True))
    return tuple(draw(_question(name, ids[:index])) for index, name in enumerate(ids))


def _question(name: str, earlier: list[str]) -> st.SearchStrategy[Question]:
    condition = st.builds(
        Condition,
        question=st.sampled_from(earlier or [name]),
        field=st.none() | identifiers,
        in_=st.lists(scalars, min_size=1, max_size=3).map(tuple),
    )
    return st.builds(
        Question,
        id=st.just(name),
        text=texts,
        response_format=formats,
        reasoning=st.none() | st.booleans(),
        max_tokens=st.none() | st.integers(1, 600),
        temperature=st.none() | temperatures,
        top_p=st.none() | top_ps,
        seed=st.none() | seeds,
        when=st.none() | condition if earlier else st.none(),
    )


_images = st.fixed_dictionaries({"image": image_refs}) | st.fixed_dictionaries(
    {"images": st.lists(image_refs, min_size=1, max_size=3).map(tuple)}
)
_one_question = st.fixed_dictionaries(
    {"question": texts}, optional={"response_format": formats, "reasoning": st.none() | st.booleans()}
)
_asked = _one_question | st.fixed_dictionaries({"questions": question_lists()})
_common = st.fixed_dictionaries(
    {
        "schema_version": st.just(2),
        "request_id": identifiers,
        "product_id": identifiers,
        "submitted_at": instants,
    },
    optional={
        "options": options,
        "detail": st.sampled_from(["high", "low", "auto"]),
        "deadline": st.none() | instants,
        "attributes": attributes,
        "task": st.builds(TaskRef, name=identifiers, digest=digests),
        "job_id": identifiers,
        "model": identifiers,
        "lane": identifiers,
    },
)
requests_v2 = st.builds(
    lambda *parts: ImageRequest(**{k: v for part in parts for k, v in part.items()}), _common, _images, _asked
)

seconds = st.floats(0, 1e9)
token_counts = st.builds(TokenCounts, prompt=st.integers(0, 10**6), completion=st.integers(0, 10**6))
models = st.builds(
    ModelIdentity,
    name=identifiers,
    revision=st.none() | identifiers,
    weights_sha256=st.none() | digests,
    quantization=st.sampled_from(["none", "nf4"]),
    engine=identifiers,
)
stage_seconds = st.builds(StageSeconds, fetch=seconds, decode=seconds, infer=seconds, total=seconds)
answers = st.builds(Answer, summary=prose, caption=prose, reasoning=prose, conclusion=prose)
results = st.builds(
    ImageResult,
    request_id=identifiers,
    product_id=identifiers,
    question=prose,
    attributes=attributes,
    answer=answers,
    finish_reason=st.sampled_from(["stop", "length"]),
    complete=st.booleans(),
    raw_text=prose,
    image=st.builds(
        SeenImage,
        uri=uris,
        sha256=digests,
        bytes=st.integers(1, 10**9),
        format=st.sampled_from(["jpeg", "png"]),
        width=st.integers(1, 10**5),
        height=st.integers(1, 10**5),
    ),
    model=models,
    tokens=token_counts,
    seconds=stage_seconds,
    cached=st.booleans(),
    completed_at=instants,
)

probabilities = st.floats(0, 1)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(prose, inner, max_size=3), max_leaves=6
)
confidences = st.builds(
    Confidence,
    kind=st.sampled_from(["exact", "path", "top_logprobs", "none"]),
    value=st.none() | probabilities,
    choices=st.lists(st.builds(ChoiceProbability, value=prose, probability=probabilities), max_size=3).map(tuple),
    other=st.none() | probabilities,
    fields=st.dictionaries(prose, probabilities, max_size=3),
)
question_answers = st.builds(
    QuestionAnswer,
    id=question_ids,
    question=prose,
    status=st.sampled_from(["answered", "skipped", "invalid", "refused"]),
    detail=st.none() | prose,
    value=json_values,
    valid=st.booleans(),
    confidence=confidences,
    finish_reason=st.sampled_from([None, "stop", "length", "repetition"]),
    sections=st.none() | answers,
    reasoning=st.none() | prose,
    raw_text=prose,
    tokens=st.none() | token_counts,
    cached=st.booleans(),
)
seen_images = st.builds(
    SeenImageV2,
    uri=uris,
    sha256=digests,
    bytes=st.integers(1, 10**9),
    format=st.sampled_from(["jpeg", "png"]),
    width=st.integers(1, 10**5),
    height=st.integers(1, 10**5),
    detail=st.sampled_from(["high", "low"]),
    pixels=st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
    truncated=st.booleans(),
)
results_v2 = st.builds(
    ImageResultV2,
    request_id=identifiers,
    product_id=identifiers,
    attributes=attributes,
    task=st.none() | st.builds(TaskRef, name=identifiers, digest=digests),
    job_id=st.none() | identifiers,
    requested_model=st.none() | identifiers,
    lane=st.none() | identifiers,
    answers=st.lists(question_answers, min_size=1, max_size=3).map(tuple),
    images=st.lists(seen_images, min_size=1, max_size=3).map(tuple),
    model=models,
    tokens=token_counts,
    seconds=stage_seconds,
    cached=st.booleans(),
    completed_at=instants,
)

printable_text = st.text(
    st.characters(exclude_categories=SURROGATES).filter(str.isprintable), max_size=MAX_DETAIL_CHARS
)
sources = st.builds(
    RecordId,
    topic=st.from_regex(r"[a-z.-]{1,30}", fullmatch=True),
    partition=st.integers(0, 10**4),
    offset=st.integers(0, 2**63 - 1),
)
later_codes = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)  # what a later version may write
failures = st.builds(
    Failure,
    reason=st.sampled_from(Reason) | later_codes,
    stage=st.sampled_from(Stage) | later_codes,
    detail=printable_text,
    attempts=st.integers(0, 10**6),
    failed_at=instants,
    source=sources,
)

letters = st.builds(
    LetterId,
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,30}", fullmatch=True),
    topic_id=st.from_regex(r"[a-zA-Z0-9_-]{1,22}", fullmatch=True),
    partition=st.integers(0, 10**4),
    offset=st.integers(0, 2**63 - 1),
)
histories = st.builds(
    History,
    count=st.integers(1, 10**6),
    letter=letters,
    first_source=sources,
    first_reason=st.sampled_from([str(reason) for reason in Reason]) | later_codes,
    first_failed_at=instants,
)
markers = st.builds(
    RedriveMarker,
    state=st.sampled_from(["redriven", "parked"]),
    redrives=st.integers(0, 10**6),
    run=identifiers,
    at=instants,
).map(encode)
