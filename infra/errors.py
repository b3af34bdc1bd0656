"""Errors that a person reads: the command line prints the message alone and ends with the exit code."""

from __future__ import annotations


class CommandError(Exception):
    """The work failed; the message says what to do."""

    exit_code = 1
