"""Runs commands, each in a process of its own, and prints as JSON how each ended.

    python -m tests.infra.cli.hostile_environment [FOLDER]

Standard input holds a JSON list of commands. They run in FOLDER, which is deleted first if its name is `gone`. Modules
are loaded once, before the processes are forked.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

from sightstream.consumers.lookup import run as lookup_run
from sightstream.consumers.lookup import topics as lookup_topics
from sightstream.consumers.store import run as store_run
from sightstream.consumers.worker import run as worker_run
from sightstream.infra.cli import start

NO_BROKER_TIMEOUT_S = 0.1


def main(folder: Path | None = None) -> None:
    commands = json.load(sys.stdin)
    if folder is not None:
        os.chdir(folder)
        if folder.name == "gone":
            folder.rmdir()
    vars(worker_run)["CHECK_TIMEOUT_S"] = NO_BROKER_TIMEOUT_S
    vars(store_run)["_ADMIN_TIMEOUT_S"] = NO_BROKER_TIMEOUT_S
    vars(lookup_run)["_ADMIN_TIMEOUT_S"] = NO_BROKER_TIMEOUT_S
    vars(lookup_topics)["_TIMEOUT_S"] = NO_BROKER_TIMEOUT_S
    json.dump([_run(command) for command in commands], sys.stdout)


def _run(command: list[str]) -> tuple[int, str, str]:
    files = [os.memfd_create(name) for name in ("out", "err")]
    if not (pid := os.fork()):
        _run_here(command, *files)
    _, status = os.waitpid(pid, 0)
    texts = []
    for file in files:
        os.lseek(file, 0, os.SEEK_SET)
        with os.fdopen(file, encoding="utf-8", errors="replace") as text:
            texts.append(text.read())
    return os.waitstatus_to_exitcode(status), texts[0], texts[1]


def _run_here(command: list[str], out: int, err: int) -> None:
    code: object = 99
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    sys.stdout = io.TextIOWrapper(os.fdopen(out, "wb"), encoding=encoding, errors=errors)
    os.dup2(err, 2)
    sys.argv = ["sightstream", *command]
    try:
        start.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 98)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
