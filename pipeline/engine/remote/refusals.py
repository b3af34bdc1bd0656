"""Maps a model server's failure to the next action: retry later, reject this request, or stop."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime

from sightstream.pipeline.engine.remote.secret_echo import hide
from sightstream.pipeline.errors import Fatal, PipelineError, Rejected, Retryable
from sightstream.schemas.wire.dead_letter import Reason, Stage, printable
from sightstream.schemas.wire.uri import redacted

# Requests wait while this dependency is down.
DEPENDENCY = "model-server"
MAX_MESSAGE_CHARS = 200

_TRANSIENT = {408, 409, 425, 429}
_ADVICE = {
    401: "set SIGHTSTREAM_ENGINE_REMOTE_API_KEY to a key that it accepts",
    403: "set SIGHTSTREAM_ENGINE_REMOTE_API_KEY to a key that may use the model",
    404: "check SIGHTSTREAM_ENGINE_REMOTE_MODEL, and SIGHTSTREAM_ENGINE_REMOTE_URL, which usually ends in /v1",
    413: "set SIGHTSTREAM_ENGINE_REMOTE_IMAGE=jpeg or let the server accept more",
}
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum (model )?length|too many tokens|(prompt|input)s? (is |are )?too long"
    r"|max_model_len|max_new_tokens",
    re.IGNORECASE,
)


class InvalidRequest(Rejected):
    """The server refuses what stands in the request: another way of asking may be good."""


def retryable(detail: str) -> Retryable:
    """Return the error; `detail` continues "the model server ..."."""
    return Retryable(Stage.INFER, f"the model server {detail}", DEPENDENCY)


def error_for(status: int, headers: Message, body: bytes, secret: str | None) -> PipelineError:
    """Return the error for a response other than 200; the error never contains `secret`, nor a part of it."""
    message = _server_message(body)
    shown = printable(hide(message, secret) if secret else message)[:MAX_MESSAGE_CHARS]
    detail = f"answered {status}" + (f" ({shown})" if shown else "")
    if status in _TRANSIENT or status >= 500 or status < 300:
        return retryable(detail)
    if status < 400:
        target = redacted(headers.get("Location", ""))
        return Fatal(f"the model server redirects to {target}; set SIGHTSTREAM_ENGINE_REMOTE_URL to its final address")
    detail = f"the model server {detail}"
    if status in (400, 422) and _TOO_LONG.search(message):
        return Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, f"{detail}; shorten it or ask for fewer tokens")
    if status in (400, 422):
        return InvalidRequest(Reason.ENGINE_REFUSED, Stage.INFER, detail)
    detail = f"{detail}; {_ADVICE.get(status, 'check SIGHTSTREAM_ENGINE_REMOTE_URL')}"
    return Rejected(Reason.ENGINE_REFUSED, Stage.INFER, detail) if status == 413 else Fatal(detail)


def retry_after_s(headers: Message) -> float:
    """Return how many seconds the server asks us to wait; 0 where it does not say."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _server_message(body: bytes) -> str:
    """Return the server's message and its error's name, from where known servers put them; "" where there are none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    words = []
    while isinstance(found, dict):
        words += [name for name in (found.get("type"), found.get("code")) if isinstance(name, str)]
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), None)
    if found is not None:
        words.insert(0, found if isinstance(found, str) else json.dumps(found))
    return ", ".join(words)
