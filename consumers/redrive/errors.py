"""Lists how reading or redriving dead letters can end early. Each message says what to do."""

from __future__ import annotations


class RedriveError(Exception):
    """It can't go on; nothing is half done, because a request and its marker become visible together."""


class Superseded(RedriveError):
    """Another run has begun and fenced this one. Both together redrive each letter at most once."""


class InDoubt(RedriveError):
    """Nobody knows yet whether a transaction was committed: open a new producer and read the markers again."""


class RecordRefused(RedriveError):
    """The broker refuses a record, so nothing of its transaction was written. The others can go into another one."""


class UnreadableMarker(RedriveError):
    """A marker can't be read, so nobody knows what became of its letter."""
