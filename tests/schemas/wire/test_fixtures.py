"""Records of every published version, frozen: they must always parse, and come out as they went in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from sightstream.schemas.wire.codec import VERSIONS, decode_request, decode_result, encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, Stage
from sightstream.schemas.wire.published_schemas import FOLDER
from sightstream.schemas.wire.redrive import decode_marker

FIXTURES = Path(__file__).parent / "fixtures"
# What was published of version 1 never changes: readers of other people hold on to it.
FROZEN = {
    "fixtures/v1/deadletter-omitted.json": "bf4e77d05d712bd94d23e7a0fcbf6cb2f3ed91718bf2129ccf04484e220d9ed1",
    "fixtures/v1/deadletter-unknown-reason.json": "d819a142a556841f8fb411756aa4eafa6e6ebd81d6c8ee72c66e0413ed5bd65a",
    "fixtures/v1/marker-parked.json": "876aa5290ce8245437c82b04a68f87e3acb3ccab3422800cdb0a5d4f2acde23e",
    "fixtures/v1/marker-redriven.json": "ccdbc2530244986ebbd7f3495d480cd5d50ad4301b5e685baf12e9ad61227cf0",
    "fixtures/v1/request-file.json": "f84091f4fe71f57790b9ca2f088a62cba3092a358533701aac96a127a1476509",
    "fixtures/v1/request-full.json": "7c24f21711d737d2657490ed74d98efe412675475516996fd979b89724d7fbdc",
    "fixtures/v1/request-minimal.json": "4dbcd733ec3fc5c28c867300997f4e7f4065b493f34da0331ba4cf29f6124c7e",
    "fixtures/v1/request-unicode.json": "3df9e0462e28a6e866a79b715d2c47a37e4f750637218544dfde169474a97697",
    "fixtures/v1/result-full.json": "a58d2f425367995769fcc33538dbbd3f4f0aeec9052e0d973f3adad2405c9017",
    "fixtures/v1/result-minimal.json": "3db791018afda5b91ff5b8c99673ea47a46cd0f688a04388085f827095cb8c8f",
    "fixtures/v1/result-unfinished.json": "eaf85f0d8d6ca1c9ed3f5a23b172d250b01b5d6b1b6a8eefde7ecad8ea7348ee",
    "published/image-request.v1.schema.json": "fa6bfc9927cbcbe8e6e594022c1dd06ce197aef42b7299203235eb925182ed65",
    "published/image-result.v1.schema.json": "a6c714723e97a6911c5758dead2d72e21244474cc1ceaacba2af48f3f5c15c5b",
}
DECODERS: dict[str, Callable[[bytes], BaseModel]] = {
    "request": decode_request,
    "result": decode_result,
    "marker": decode_marker,
}
RECORDS = sorted(path for path in FIXTURES.glob("v*/*.json") if path.name.split("-")[0] in DECODERS)
DEAD_LETTERS = sorted(FIXTURES.glob("v*/deadletter-*.json"))


@pytest.mark.parametrize("path", FROZEN)
def test_what_was_published_of_version_1_is_unchanged(path: str) -> None:
    folder = FOLDER.parent if path.startswith("published") else FIXTURES.parent
    assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == FROZEN[path]


def test_every_record_of_version_1_is_frozen() -> None:
    frozen = {path for path in FROZEN if path.startswith("fixtures")}
    assert frozen == {f"fixtures/v1/{path.name}" for path in FIXTURES.glob("v1/*")}


def test_every_version_has_fixtures_of_each_kind() -> None:
    found = {(path.parent.name, path.name.split("-")[0]) for path in RECORDS}
    versions = {"request": VERSIONS, "result": VERSIONS, "marker": (1,)}
    assert found == {(f"v{version}", kind) for kind, known in versions.items() for version in known}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_published_record_parses_and_comes_out_equal(path: Path) -> None:
    value = path.read_bytes()
    model = DECODERS[path.name.split("-")[0]](value)
    encoded = encode(model)
    assert DECODERS[path.name.split("-")[0]](encoded) == model
    assert holds(json.loads(encoded), json.loads(value))


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_headers_of_a_dead_letter_parse_and_come_out_equal(path: Path) -> None:
    frozen: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    written = Failure.from_headers(headers_of(path)).headers()
    assert holds(frozen, {name: value.decode() for name, value in written if value is not None})
    assert len(written) == 8


def test_a_reason_and_a_stage_of_a_later_version_stay_text() -> None:
    failure = Failure.from_headers(headers_of(FIXTURES / "v1/deadletter-unknown-reason.json"))
    assert (failure.reason, failure.stage) == ("moon_phase_unsuitable", "stargaze")
    assert failure.reason not in list(Reason)
    assert failure.stage not in list(Stage)


def headers_of(path: Path) -> Headers:
    return [(name, value.encode()) for name, value in json.loads(path.read_text(encoding="utf-8")).items()]


def holds(written: object, given: object) -> bool:
    """Everything that was given is still there; defaults may have been filled in beside it."""
    if isinstance(written, dict) and isinstance(given, dict):
        return all(name in written and holds(written[name], given[name]) for name in given)
    return written == given
