"""Checks what a request asks for as a whole, before it costs anything: at the publisher, and again at the worker."""

from __future__ import annotations

import json

from sightstream.schemas.wire.codec import MAX_REQUEST_BYTES, MAX_RESULT_BYTES, describe_excess, encode
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.json_schema_limits import MAX_SCHEMA_BYTES, check_json_schema, compact_json
from sightstream.schemas.wire.json_schema_size import SchemaSize
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.question_answer import MAX_CHOICE_PROBABILITIES
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, SectionsFormat
from sightstream.schemas.wire.unusable_request import UnusableRequest

MAX_QUESTION_BYTES = 64 * 1024
MAX_TOKENS = 8192
RESERVED = ("job_id", "model", "lane")

# No tokenizer is at hand here. A schema is refused only where its shortest answer is too long in any tokenizer: the
# longest tokens that are in use have this many bytes.
LONGEST_TOKEN_BYTES = 128
# What the tokens of a whole answer come to on the wire at most, JSON's escapes included; prose has about 5. An answer
# beyond it ends as result_too_large, if anything does.
WIRE_BYTES_PER_TOKEN = 16
# Names, digests, counts, times, and the engine's and the model's own names.
RESULT_BYTES = 8 * 1024
# Field names, counts, and a detail of at most 1,000 characters.
ANSWER_BYTES = 4 * 1024 + 512
PROBABILITY_BYTES = 24
FIELD_BYTES = PROBABILITY_BYTES + 4  # with quotes, colon and comma
CHOICE_BYTES = PROBABILITY_BYTES + 28  # with the names of both fields
# What a request within the cap has at most once it is written anew: a number such as 1e15 grows, defaults are added.
REWRITTEN_REQUEST_BYTES = 2 * MAX_REQUEST_BYTES


def encode_publishable(request: ImageRequest) -> bytes:
    """Return the request as bytes, within the limits. Raises UnusableRequest; over 256 KiB, it is request_too_large."""
    value = encode(request)
    if len(value) > MAX_REQUEST_BYTES:
        raise UnusableRequest(Reason.REQUEST_TOO_LARGE, describe_excess(len(value), MAX_REQUEST_BYTES))
    check_publishable(request)
    return value


def check_publishable(request: ImageRequest) -> None:
    """Raise UnusableRequest for a request beyond the limits, and for one that sets a reserved field.

    How many images one question may have is up to the engine, so only a worker can tell.
    """
    for name in RESERVED:
        if getattr(request, name) is not None:
            raise UnusableRequest(Reason.MALFORMED, f"{name}: reserved for a later version; leave it out")
    check_limits(request)


def check_limits(request: ImageRequest) -> None:
    """Raise UnusableRequest for a request that asks for too much, or in a schema that cannot be used.

    Blocks for nothing. A request of version 1 is within the limits, because the limits of its fields are narrower.
    """
    if request.schema_version == 1:
        return
    questions = request.all_questions
    sizes = [_check_question(question, request) for question in questions]
    _check_sum("schemas", sum(map(_schema_bytes, questions)), MAX_SCHEMA_BYTES, Reason.SCHEMA_UNUSABLE)
    _check_sum("question texts", sum(len(question.text.encode()) for question in questions), MAX_QUESTION_BYTES)
    tokens = sum(_max_tokens(question, request) for question in questions)
    if tokens > MAX_TOKENS:
        raise _beyond(f"max_tokens of all questions come to {tokens}, over {MAX_TOKENS}; ask for shorter answers")
    _check_result(request, _answers_bytes(request, sizes))


def largest_result_bytes(request: ImageRequest) -> int:
    """Return the most bytes that the result can have, at WIRE_BYTES_PER_TOKEN. Raises UnusableRequest for a schema."""
    sizes = [_check_question(question, request) for question in request.all_questions]
    return _result_bytes(request, _answers_bytes(request, sizes))


def _check_question(question: Question, request: ImageRequest) -> SchemaSize | None:
    """Return the sizes of its JSON, None for another format."""
    if not isinstance(question.response_format, JsonSchemaFormat):
        return None
    try:
        size = check_json_schema(question.response_format.json_schema.schema_)
    except UnusableRequest as error:
        raise _unusable(question, error.detail) from None
    least = -(-size.shortest_bytes // LONGEST_TOKEN_BYTES)
    if least > _max_tokens(question, request):
        raise _unusable(question, f"#: the shortest answer needs {least} tokens or more; raise max_tokens")
    return size


def _unusable(question: Question, problem: str) -> UnusableRequest:
    return UnusableRequest(Reason.SCHEMA_UNUSABLE, f"the schema of the question {question.id}: {problem}")


def _beyond(detail: str, reason: Reason = Reason.MALFORMED) -> UnusableRequest:
    return UnusableRequest(reason, detail)


def _check_sum(name: str, size: int, cap: int, reason: Reason = Reason.MALFORMED) -> None:
    if size > cap:
        raise _beyond(f"the {name} together have {size} bytes, over {cap}; ask for less in one request", reason)


def _schema_bytes(question: Question) -> int:
    chosen = question.response_format
    return len(compact_json(chosen.json_schema.schema_).encode()) if isinstance(chosen, JsonSchemaFormat) else 0


def _max_tokens(question: Question, request: ImageRequest) -> int:
    return request.options.max_tokens if question.max_tokens is None else question.max_tokens


def _check_result(request: ImageRequest, answers_bytes: int) -> None:
    if REWRITTEN_REQUEST_BYTES + RESULT_BYTES + answers_bytes <= MAX_RESULT_BYTES:
        return  # nearly every request: it need not be encoded to be measured
    largest = _result_bytes(request, answers_bytes)
    if largest > MAX_RESULT_BYTES:
        raise _beyond(
            f"the largest possible result has {largest} bytes, over {MAX_RESULT_BYTES}; lower max_tokens, ask fewer "
            "questions, or give the properties of arrays shorter names"
        )


def _result_bytes(request: ImageRequest, answers_bytes: int) -> int:
    """What the result repeats of its request is at most the request itself, once."""
    return len(encode(request)) + RESULT_BYTES + answers_bytes


def _answers_bytes(request: ImageRequest, sizes: list[SchemaSize | None]) -> int:
    return sum(
        _answer_bytes(question, size, _max_tokens(question, request))
        for question, size in zip(request.all_questions, sizes, strict=True)
    )


def _answer_bytes(question: Question, size: SchemaSize | None, max_tokens: int) -> int:
    """The text stands in the answer as it came, and again in its parts; a conclusion stands there a third time."""
    copies = 3 if isinstance(question.response_format, SectionsFormat) else 2
    text = copies * WIRE_BYTES_PER_TOKEN * max_tokens
    if size is not None:
        text += min(size.most_values, max_tokens) * (size.pointer_bytes + FIELD_BYTES)
    if isinstance(question.response_format, ChoiceFormat):
        text += _choices_bytes(question.response_format)
    return ANSWER_BYTES + text


def _choices_bytes(chosen: ChoiceFormat) -> int:
    """The value and the raw text are one choice; the probabilities repeat what the request names."""
    longest = max(len(json.dumps(choice, ensure_ascii=False).encode()) for choice in chosen.choices)
    return 2 * longest + MAX_CHOICE_PROBABILITIES * CHOICE_BYTES
