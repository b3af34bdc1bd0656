"""Records of every published version, frozen: they must always parse, and come out as they went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from sightstream.schemas.wire.codec import VERSIONS, decode_request, decode_result, encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, Stage
from sightstream.schemas.wire.redrive import decode_marker

FIXTURES = Path(__file__).parent / "fixtures"
DECODERS: dict[str, Callable[[bytes], BaseModel]] = {
    "request": decode_request,
    "result": decode_result,
    "marker": decode_marker,
}
RECORDS = sorted(path for path in FIXTURES.glob("v*/*.json") if path.name.split("-")[0] in DECODERS)
DEAD_LETTERS = sorted(FIXTURES.glob("v*/deadletter-*.json"))


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
