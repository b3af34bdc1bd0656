"""Errors that stop the lookup."""

from __future__ import annotations


class LookupFailure(Exception):
    """The lookup can't go on; the message says what to do. Nothing is lost: everything is on Kafka."""


class TableFailure(LookupFailure):
    """The table stopped by itself."""
