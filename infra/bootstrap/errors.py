"""The one error of the set-up."""

from __future__ import annotations

from sightstream.infra.errors import CommandError


class SetupError(CommandError):
    """The machine lacks something that we cannot install; the message says what to install."""
