"""Answers of a model server that knows schemas and sends log-probabilities."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

from sightstream.pipeline.engine.schema_instance import SchemaInstance
from tests.pipeline.engine.remote.fake_server import Answer, Handler, completion

TOKEN_BYTES = 3
REASONING = "The picture shows one product."

# A step: what was written, how probable it was, and what else might have been.
Step = tuple[str, float, dict[str, float]]


def structured(handler: Handler) -> None:
    """Answer JSON that fits the schema, cut at max_tokens, and prose where no schema is asked for."""
    body = handler.question.body
    wanted = body.get("response_format")
    text = REASONING
    if wanted:
        seed = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        value = SchemaInstance(wanted["json_schema"]["schema"], seed).value()
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    pieces = [text.encode()[at : at + TOKEN_BYTES] for at in range(0, len(text.encode()), TOKEN_BYTES)]
    kept, reason = pieces[: body["max_tokens"]], "stop" if len(pieces) <= body["max_tokens"] else "length"
    said = b"".join(kept).decode(errors="ignore")
    usage = {"prompt_tokens": 11, "completion_tokens": len(kept)}
    answer = completion(said, reason, usage=usage)
    if body.get("logprobs"):
        with_logprobs(answer, [token(piece, 0.9) for piece in kept])
    handler.reply(200, answer)


def with_logprobs(body: dict[str, Any], content: Any) -> dict[str, Any]:
    body["choices"][0]["logprobs"] = {"content": content}
    return body


def token(piece: bytes, probability: float, others: dict[str, float] | None = None) -> dict[str, Any]:
    listed = {piece.decode(errors="replace"): probability} | (others or {})
    return {
        "token": piece.decode(errors="replace"),
        "bytes": list(piece),
        "logprob": math.log(probability),
        "top_logprobs": [
            {"token": text, "bytes": list(text.encode()), "logprob": math.log(each)} for text, each in listed.items()
        ],
    }


def says_in_steps(*steps: Step) -> Answer:
    """Answer these tokens, with these probabilities."""
    return lambda handler: handler.reply(200, with_logprobs(completion(_text(steps)), [_token(step) for step in steps]))


def _text(steps: Sequence[Step]) -> str:
    return "".join(text for text, _, _ in steps)


def _token(step: Step) -> dict[str, Any]:
    text, probability, others = step
    return token(text.encode(), probability, others)
