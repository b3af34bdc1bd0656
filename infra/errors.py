"""Errors for people: the command line prints only the message and exits with the error's code."""

from __future__ import annotations


class CommandError(Exception):
    """The command failed; the message says what to do."""

    exit_code = 1
