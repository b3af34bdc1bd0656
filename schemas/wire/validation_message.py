"""Tells people what is wrong with a record, without its values: they may hold secrets."""

from __future__ import annotations

from pydantic import ValidationError

MAX_PROBLEMS = 5
MAX_NAME_CHARS = 64


def explain(error: ValidationError) -> str:
    """Return the paths of the wrong fields, and what is wrong with each."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:MAX_PROBLEMS])


def _path(steps: tuple[int | str, ...]) -> str:
    """Return the path of a field; names come from the sender, so each is truncated.

    It is empty for a problem of several fields together, whose message names them.
    """
    path = ".".join(str(step)[:MAX_NAME_CHARS] for step in steps)
    return f"{path}: " if path else ""
