"""Why the look-up can't run."""

from __future__ import annotations


class LookupFailed(Exception):
    """The look-up can't go on; the message says what to do. Nothing is lost: it is all on Kafka."""


class TableFailed(LookupFailed):
    """The table stopped by itself. Faust's threads may still run: end the process, so that they acknowledge nothing."""
