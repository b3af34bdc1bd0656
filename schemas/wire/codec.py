"""Converts records between bytes and models: UTF-8 JSON, with caps on size and depth checked before parsing."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from sightstream.schemas.wire.dead_letter import Headers, Reason
from sightstream.schemas.wire.json_depth import is_deeper
from sightstream.schemas.wire.record_size import headers_bytes
from sightstream.schemas.wire.request import ABSENT_FIELDS, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.result_v2 import AnyResult, ImageResultV2
from sightstream.schemas.wire.validation_message import explain

MAX_REQUEST_BYTES = 256 * 1024
MAX_RESULT_BYTES = 1024 * 1024
MAX_DEPTH = {1: 16, 2: 64}  # by version
MAX_HEADERS = 1000
MAX_HEADERS_BYTES = 64 * 1024
VERSIONS = (1, 2)

Model = TypeVar("Model", ImageRequest, ImageResult | ImageResultV2)

# Sets, as the serializer wants them.
_ABSENT = {fields: set(fields) for fields in ABSENT_FIELDS}
_REQUESTS: dict[int, type[ImageRequest]] = {1: ImageRequest, 2: ImageRequest}
_RESULTS: dict[int, type[AnyResult]] = {1: ImageResult, 2: ImageResultV2}
_SPACES = " \t\n\r"
_BYTE_ORDER_MARK = "\ufeff"


class WireError(ValueError):
    """The bytes are not a valid record, so sending them again cannot help. `reason` is for the dead letter."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def encode(model: BaseModel) -> bytes:
    """Return `model` as UTF-8 JSON without spaces; fields that are None are omitted."""
    absent = _ABSENT[model.absent_fields] if isinstance(model, ImageRequest) else None
    return to_json(model, exclude_none=True, exclude=absent, by_alias=True)


def decode_request(value: bytes | None) -> ImageRequest:
    """Return the request. Raises WireError for anything else."""
    return _decode(value, _REQUESTS, MAX_REQUEST_BYTES)


def check_headers(headers: Headers) -> None:
    """Raise WireError when a request has more headers than its dead letter could carry: over 1,000, or 64 KiB."""
    if len(headers) > MAX_HEADERS:
        raise WireError(Reason.MALFORMED, f"{len(headers)} headers are over the cap of {MAX_HEADERS}; send fewer")
    size = headers_bytes(headers)
    if size > MAX_HEADERS_BYTES:
        raise WireError(Reason.MALFORMED, f"headers of {size} bytes are over the cap of {MAX_HEADERS_BYTES}; send less")


def decode_result(value: bytes | None) -> AnyResult:
    """Return the result, in the version that it was written in. Raises WireError for anything else."""
    return _decode(value, _RESULTS, MAX_RESULT_BYTES)


def _decode(value: bytes | None, models: dict[int, type[Model]], max_bytes: int) -> Model:
    if value is None:
        raise WireError(Reason.MALFORMED, "the record has no value; send a JSON object")
    if len(value) > max_bytes:
        raise WireError(Reason.REQUEST_TOO_LARGE, describe_excess(len(value), max_bytes))
    is_deep = is_deeper(value, MAX_DEPTH[1])
    if is_deep:
        _check_depth(value, MAX_DEPTH[2])  # before parsing, which recurses
    version = _version(_parse(value))
    if is_deep:
        _check_depth(value, MAX_DEPTH[version])
    return _validate(value, models[version], version)


def _validate(value: bytes, model: type[Model], version: int) -> Model:
    try:
        record: Model = model.__pydantic_validator__.validate_json(value, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise WireError(Reason.MALFORMED, explain(error)) from None
    if record.schema_version != version:  # a request that names no version counts as one of version 1
        raise WireError(Reason.MALFORMED, f"schema_version: write {record.schema_version}; the fields are of that one")
    return record


def describe_excess(size: int, max_bytes: int) -> str:
    """Return what a dead letter says about a value over the cap."""
    return f"{size} bytes are over the cap of {max_bytes}; send less"


def _check_depth(value: bytes, max_depth: int) -> None:
    if is_deeper(value, max_depth):
        raise WireError(Reason.MALFORMED, f"nested deeper than {max_depth} levels")


def _parse(value: bytes) -> object:
    try:
        text = value.decode("utf-8").strip(_SPACES)
        if text.startswith(_BYTE_ORDER_MARK):
            raise ValueError("it begins with a byte order mark; write UTF-8 without one")
        parsed, end = _strict().raw_decode(text)
        if end < len(text):
            raise ValueError("more follows behind its end")
        return parsed
    except (ValueError, RecursionError) as error:
        raise WireError(Reason.MALFORMED, f"not valid JSON: {error}") from None


@cache
def _strict() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite_float)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return unique


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _version(parsed: object) -> int:
    """Return the version that the record names; one that names none is of version 1."""
    if not isinstance(parsed, dict):
        raise WireError(Reason.MALFORMED, "the value is not a JSON object")
    version = parsed.get("schema_version", 1)
    if type(version) is not int:  # True and 1.0 equal 1 for Python
        raise WireError(Reason.MALFORMED, "schema_version: Input should be an integer")
    if version not in VERSIONS:
        raise WireError(Reason.UNSUPPORTED_VERSION, f"this schema_version is unknown here; known: {list(VERSIONS)}")
    return version
