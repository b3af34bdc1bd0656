"""Errors that stop the store; each message says what to do."""

from __future__ import annotations


class StoreError(Exception):
    """The store can't go on. Nothing is lost: a later run continues from the positions in the database."""


class StoreBusy(StoreError):
    """Another process writes to this database."""


class TopicReplaced(StoreError):
    """A topic was deleted and created again, so its offsets no longer mean what the rows say."""
