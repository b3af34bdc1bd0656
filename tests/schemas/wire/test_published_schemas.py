"""The published documents are current, and the AsyncAPI document hangs together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from sightstream.infra.cli.schemas import app
from sightstream.infra.errors import CommandError
from sightstream.schemas.wire.published_schemas import FOLDER, published_schemas, stale_files, write
from sightstream.schemas.wire.redrive import HISTORY_PREFIX
from sightstream.schemas.wire.topics import TopicSettings, topic_specs

ASYNCAPI: dict[str, Any] = json.loads((FOLDER / "asyncapi.json").read_text(encoding="utf-8"))


def test_no_file_is_stale() -> None:
    assert stale_files() == []


def test_a_changed_a_missing_and_an_obsolete_file_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "image-request.v1.schema.json").unlink()
    (tmp_path / "old.json").write_text("{}")
    assert stale_files(tmp_path) == ["asyncapi.json", "image-request.v1.schema.json", "old.json"]


def test_check_fails_and_names_the_file(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["write", "--folder", str(tmp_path)]).exit_code == 0
    assert runner.invoke(app, ["check", "--folder", str(tmp_path)]).exit_code == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    failed = runner.invoke(app, ["check", "--folder", str(tmp_path)])
    assert isinstance(failed.exception, CommandError)
    assert failed.exception.exit_code == 1
    assert "asyncapi.json" in str(failed.exception)
    as_json = runner.invoke(app, ["check", "--json", "--folder", str(tmp_path)])
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout) == {"drifted": ["asyncapi.json"]}


@pytest.mark.parametrize("name", [name for name in published_schemas() if name.endswith(".schema.json")])
def test_each_schema_is_valid_draft_2020_12(name: str) -> None:
    schema = json.loads(published_schemas()[name])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    node = json.loads((FOLDER / file).read_text(encoding="utf-8")) if file else ASYNCAPI
    for step in filter(None, pointer.split("/")):
        node = node[step]
    return node


def test_every_reference_leads_somewhere() -> None:
    found = list(references(ASYNCAPI))
    assert {"./image-request.v1.schema.json", "./image-result.v1.schema.json"} <= set(found)
    for reference in found:
        assert resolve(reference)


def test_the_asyncapi_document_has_what_version_3_demands() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert ASYNCAPI["info"].keys() >= {"title", "version"}
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert resolve(channel)
        # Version 3: an operation's messages are a subset of its own channel's.
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    for message in ASYNCAPI["components"]["messages"].values():
        for part in {"payload", "headers"} & message.keys():
            assert message[part].keys() == {"schemaFormat", "schema"}


def test_the_channels_are_the_topics() -> None:
    limits = {
        channel["address"]: channel["bindings"]["kafka"]["topicConfiguration"]["max.message.bytes"]
        for channel in ASYNCAPI["channels"].values()
    }
    assert limits == {spec.name: int(spec.config["max.message.bytes"]) for spec in topic_specs(TopicSettings())}


def test_every_message_states_the_key_rule_and_dead_letters_their_headers() -> None:
    messages = ASYNCAPI["components"]["messages"]
    assert {message["bindings"]["kafka"]["key"]["type"] for message in messages.values()} == {"string"}
    assert all("murmur2_random" in message["bindings"]["kafka"]["key"]["description"] for message in messages.values())
    headers = resolve(messages["deadLetter"]["headers"]["schema"]["$ref"])
    omitted = {"sightstream-omitted-bytes", "sightstream-omitted-sha256"}  # only where a record is too large to keep
    history = {name for name in headers["properties"] if name.startswith(HISTORY_PREFIX)}  # only where it was redriven
    assert len(history) == 5
    assert set(headers["required"]) == set(headers["properties"]) - omitted - history
    assert "malformed" in headers["properties"]["sightstream-reason"]["anyOf"][0]["enum"]
