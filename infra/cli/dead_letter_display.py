"""Shows dead letters, with everything escaped that others wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightstream.infra.cli import whole_columns
from sightstream.schemas.wire.dead_letter import printable

if TYPE_CHECKING:
    from sightstream.consumers.redrive.letter import DeadLetter
    from sightstream.consumers.redrive.markers import State

DETAIL_CHARS = 60


def letter_document(letter: DeadLetter, state: State) -> dict[str, object]:
    """Return the document that `list --json` prints for a letter."""
    from dataclasses import asdict

    from sightstream.consumers.redrive.letter import request_of

    failure, at, history = letter.failure, letter.record.at, letter.history
    request = request_of(letter.record.value)
    return {
        "state": state.value,
        "letter": asdict(at),
        "reason": str(failure.reason),
        "stage": str(failure.stage),
        "detail": failure.detail,
        "attempts": failure.attempts,
        "failed_at": letter.failed_at.isoformat(),
        "source": asdict(failure.source),
        "request_id": request.request_id if request else None,
        "product_id": request.product_id if request else None,
        "redrives": letter.redrives,
        "first": history
        and {
            "source": asdict(history.first_source),
            "reason": history.first_reason,
            "failed_at": history.first_failed_at.isoformat(),
        },
        "omitted": asdict(letter.omitted) if letter.omitted else None,
    }


def whole_document(letter: DeadLetter, state: State) -> dict[str, object]:
    """Return the document that `show --json` prints: the same and the record itself."""
    record = letter.record
    return letter_document(letter, state) | {
        "key_base64": _base64(record.key),
        "value_base64": _base64(record.value),
        "headers": [[name, _base64(value)] for name, value in record.headers or ()],
    }


def letter_text(letter: DeadLetter, state: State) -> str:
    """Return the lines that `show` prints."""
    document = letter_document(letter, state)
    at, source, first = letter.record.at, letter.failure.source, letter.history
    lines: dict[str, object] = {
        "letter": f"{at.topic}/{at.partition}/{at.offset}",
        **{name: document[name] for name in ("state", "reason", "stage", "detail", "attempts", "failed_at")},
        "source": f"{source.topic}/{source.partition}/{source.offset}",
        "redrives": letter.redrives,
        "first": first and f"{first.first_reason} at {first.first_failed_at.isoformat()}, {first.first_source}",
        "omitted": letter.omitted and f"{letter.omitted.size} bytes, sha256 {letter.omitted.sha256}",
        "key": letter.record.key and letter.record.key.decode("utf-8", "backslashreplace"),
        "value": letter.record.value and letter.record.value.decode("utf-8", "backslashreplace"),
    }
    return "\n".join(f"{name:<10}{printable(str(value))}" for name, value in lines.items() if value is not None)


def _base64(value: bytes | None) -> str | None:
    import base64

    return None if value is None else base64.b64encode(value).decode()


def print_table(found: list[tuple[DeadLetter, State]]) -> None:
    headers = ("letter", "product", "state", "reason", "redrives", "failed at")
    whole_columns.print_table(headers, (_cells(*each) for each in found), folded="reason")


def _cells(letter: DeadLetter, state: State) -> tuple[str, ...]:
    from sightstream.consumers.redrive.survey import product_of

    failure, at = letter.failure, letter.record.at
    reason = f"{failure.reason} ({failure.stage}): {failure.detail[:DETAIL_CHARS]}"
    failed_at = letter.failed_at.isoformat()[:19]
    return f"{at.partition}/{at.offset}", product_of(letter), state.value, reason, str(letter.redrives), failed_at
