"""Hypothesis strategies for everything that is valid on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from hypothesis import strategies as st

from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import MAX_DETAIL_CHARS, Failure, Reason, RecordId, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.redrive import History, LetterId, RedriveMarker
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts

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

requests = st.builds(
    ImageRequest,
    request_id=identifiers,
    product_id=identifiers,
    image=st.builds(ImageRef, uri=uris, version_id=st.none() | identifiers, sha256=st.none() | digests),
    question=prose.filter(bool),
    options=st.builds(
        AnalysisOptions,
        max_tokens=st.integers(1, 4096),
        temperature=st.floats(0, 2),
        top_p=st.floats(0, 1, exclude_min=True),
        seed=st.none() | st.integers(0, 2**63 - 1),
    ),
    submitted_at=instants,
    deadline=st.none() | instants,
    attributes=attributes,
)

seconds = st.floats(0, 1e9)
results = st.builds(
    ImageResult,
    request_id=identifiers,
    product_id=identifiers,
    question=prose,
    attributes=attributes,
    answer=st.builds(Answer, summary=prose, caption=prose, reasoning=prose, conclusion=prose),
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
    model=st.builds(
        ModelIdentity,
        name=identifiers,
        revision=st.none() | identifiers,
        weights_sha256=st.none() | digests,
        quantization=st.sampled_from(["none", "nf4"]),
        engine=identifiers,
    ),
    tokens=st.builds(TokenCounts, prompt=st.integers(0, 10**6), completion=st.integers(0, 10**6)),
    seconds=st.builds(StageSeconds, fetch=seconds, decode=seconds, infer=seconds, total=seconds),
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
