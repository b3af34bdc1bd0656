"""The error of the set-up."""

from __future__ import annotations

from sightstream.infra.errors import CommandError


class SetupError(CommandError):
    """The machine lacks something that the set-up cannot install; the message says what to install."""
