"""Records of every published version, frozen: they must always parse, and come out as they went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from sightstream.schemas.wire.codec import VERSIONS, decode_request, decode_result, encode

FIXTURES = Path(__file__).parent / "fixtures"
DECODERS: dict[str, Callable[[bytes], BaseModel]] = {"request": decode_request, "result": decode_result}
RECORDS = sorted(FIXTURES.glob("v*/*.json"))


def test_every_version_has_fixtures_of_both_kinds() -> None:
    found = {(path.parent.name, path.name.split("-")[0]) for path in RECORDS}
    assert found == {(f"v{version}", kind) for version in VERSIONS for kind in DECODERS}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_published_record_parses_and_comes_out_equal(path: Path) -> None:
    value = path.read_bytes()
    model = DECODERS[path.name.split("-")[0]](value)
    encoded = encode(model)
    assert DECODERS[path.name.split("-")[0]](encoded) == model
    assert holds(json.loads(encoded), json.loads(value))


def holds(written: object, given: object) -> bool:
    """Everything that was given is still there; defaults may have been filled in beside it."""
    if isinstance(written, dict) and isinstance(given, dict):
        return all(name in written and holds(written[name], given[name]) for name in given)
    return written == given
