"""The first lines of every command: a stop is heard before anything else is loaded.

The kernel hands the first process of a container no signal that has only its default action, so there SIGTERM would go
unheard until the command itself listens, which can be after minutes when the broker is down.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from threading import Thread

from sightstream.pipeline.core_dumps import forbid_core_dumps

STOPPED = 130


def main() -> None:
    """Run the command line."""
    forbid_core_dumps()
    _print_any_letter()
    if os.getpid() == 1:
        exit_on_sigterm()
    from sightstream.infra.cli.app import main as run

    run()


def _print_any_letter() -> None:
    """Escape what the terminal's encoding lacks, such as a letter of a product's name; else printing would fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def exit_on_sigterm() -> None:
    """End this process at once on SIGTERM, until a command that has work to finish installs a handler of its own."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGTERM, _exit)
    Thread(target=_exit_when_woken, args=(readable,), name="exit-on-sigterm", daemon=True).start()


def _exit(number: int, frame: object) -> None:
    os._exit(STOPPED)


def _exit_when_woken(readable: int) -> None:
    """Exit even while the main thread waits inside a library, where no handler can run."""
    while received := os.read(readable, 1):
        if received[0] == signal.SIGTERM and signal.getsignal(signal.SIGTERM) is _exit:
            os._exit(STOPPED)
