"""Defines the kinds of text that are allowed on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

# Identifiers end up in keys, file names, tables and logs, so they have no control characters.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Prose may span lines; NUL is refused because databases refuse it.
Prose = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
