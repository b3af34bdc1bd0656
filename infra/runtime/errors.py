"""The errors of the local runtime; each message says what to do."""

from __future__ import annotations

from sightstream.infra.errors import CommandError


class RuntimeFailedError(CommandError):
    """A part of the local runtime could not start, or died."""


class FolderInUseError(CommandError):
    """Another live runtime owns the folder."""
