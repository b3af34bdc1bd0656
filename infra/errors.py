"""Errors for people: the command line prints only the message and exits with the error's code."""

from __future__ import annotations

import os


class CommandError(Exception):
    """The command failed; the message says what to do."""

    exit_code = 1


def explain_os_error(error: OSError) -> str:
    """Return a sentence for a person: which path, and what is wrong with it."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return _lost_folder() or error.strerror or str(error)


def _lost_folder() -> str | None:
    try:
        os.getcwd()
    except OSError as error:
        return f"the working folder can't be used ({error.strerror}); change to another one"
    return None
