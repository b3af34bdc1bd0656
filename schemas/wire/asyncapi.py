"""Builds the AsyncAPI 3 document: the records of each topic, their keys, and their senders and receivers."""

from __future__ import annotations

from typing import Any

from sightstream.schemas.wire.topics import (
    MAX_MARKER_BATCH_BYTES,
    MAX_OUTCOME_RECORD_BYTES,
    MAX_REQUEST_RECORD_BYTES,
    TopicSettings,
)

BINDING_VERSION = "0.5.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
KEY_RULE = (
    "The key is the product_id in UTF-8. Producers partition by Java's murmur2 (partitioner=murmur2_random), and the"
    " topics of requests, results and dead letters have the same number of partitions, so one product has one partition"
    " number everywhere."
)
MARKER_KEY_RULE = (
    "The key names the dead letter: its topic, the id of that topic, its partition and its offset, with slashes between"
    " them. Producers partition by Java's murmur2 (partitioner=murmur2_random)."
)

Document = dict[str, Any]


def asyncapi() -> Document:
    """Return the document. It refers to payload and header schemas by file name: they are in the same folder."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sightstream",
            "version": "1",
            "description": "A product-image event in, exactly one structured answer or one dead letter out. "
            "Read the outcomes with isolation.level=read_committed.",
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channels() -> Document:
    names = {
        name: TopicSettings.model_fields[name].default for name in ("requests", "results", "dead_letters", "redrives")
    }
    return {
        "requests": _channel(names["requests"], "request", MAX_REQUEST_RECORD_BYTES, "Questions about images."),
        "results": _channel(names["results"], "result", MAX_OUTCOME_RECORD_BYTES, "One record for each answer."),
        "deadLetters": _channel(
            names["dead_letters"],
            "deadLetter",
            MAX_OUTCOME_RECORD_BYTES,
            "One record for each request that has no answer; `sightstream dead-letters redrive` publishes it again.",
        ),
        "redrives": _markers_channel(names["redrives"]),
    }


def _channel(address: str, message: str, max_bytes: int, description: str, key_rule: str = KEY_RULE) -> Document:
    return {
        "address": address,
        "description": f"{description} {key_rule}",
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {"topicConfiguration": {"max.message.bytes": max_bytes}, "bindingVersion": BINDING_VERSION}
        },
    }


def _markers_channel(address: str) -> Document:
    description = "What became of each dead letter that was redriven or parked, in the transaction that did it."
    channel = _channel(address, "redriveMarker", MAX_MARKER_BATCH_BYTES, description, MARKER_KEY_RULE)
    channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] = ["compact"]
    return channel


def _operations() -> Document:
    return {
        "publishRequest": _operation("send", "requests", "request", "A shop asks a question about an image."),
        "takeRequest": _operation("receive", "requests", "request", "A worker reads it (read_committed)."),
        "publishResult": _operation("send", "results", "result", "A worker answers, in one transaction with offsets."),
        "publishDeadLetter": _operation("send", "deadLetters", "deadLetter", "A worker gives up, with the reason."),
        "readResult": _operation("receive", "results", "result", "Stores and tables read answers (read_committed)."),
        "readDeadLetter": _operation("receive", "deadLetters", "deadLetter", "Stores read, redrive publishes again."),
        "redriveRequest": _operation("send", "requests", "request", "Redrive publishes a dead letter's request again."),
        "publishRedriveMarker": _operation("send", "redrives", "redriveMarker", "Redrive, in that transaction."),
        "readRedriveMarker": _operation("receive", "redrives", "redriveMarker", "Redrive reads what was redriven."),
    }


def _operation(action: str, channel: str, message: str, summary: str) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _messages() -> Document:
    return {
        "request": _message("ImageRequest", "image-request", versions=(1, 2)),
        "result": _message("ImageResult", "image-result", versions=(1, 2)),
        "deadLetter": {
            "name": "DeadLetter",
            "title": "DeadLetter",
            "summary": "The original record byte for byte, so its value may be no valid request at all.",
            "contentType": "application/octet-stream",
            "headers": _schema("dead-letter-headers.v1.schema.json"),
            "bindings": _key_binding(),
        },
        "redriveMarker": _message("RedriveMarker", "redrive-marker", MARKER_KEY_RULE),
    }


def _message(name: str, file: str, key_rule: str = KEY_RULE, versions: tuple[int, ...] = (1,)) -> Document:
    payload = _schema(*(f"{file}.v{version}.schema.json" for version in versions))
    return {"name": name, "title": name, "payload": payload, "bindings": _key_binding(key_rule)}


def _schema(*files: str) -> Document:
    """Return a reference to one of the files: one for each version of the record."""
    references = [{"$ref": f"./{file}"} for file in files]
    return {"schemaFormat": SCHEMA_FORMAT, "schema": references[0] if len(references) == 1 else {"oneOf": references}}


def _key_binding(rule: str = KEY_RULE) -> Document:
    return {"kafka": {"key": {"type": "string", "description": rule}, "bindingVersion": BINDING_VERSION}}
