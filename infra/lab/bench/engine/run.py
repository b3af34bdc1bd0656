"""A whole run: options in, a report out, kept on disk from the first part on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.derived import derive
from sightstream.infra.lab.bench.engine.figures import SCHEMA_VERSION, Report
from sightstream.infra.lab.bench.engine.options import BenchOptions
from sightstream.infra.lab.bench.engine.parts import PARTS, Part
from sightstream.infra.lab.bench.engine.runner import Runner


def run_bench(
    options: BenchOptions,
    parts: Sequence[Part],
    file: Path | None,
    say: Callable[[str], None],
    earlier: Sequence[Path] = (),
) -> Report:
    """Blocks until every part has ended; `file` is rewritten after each.

    Parts of `earlier` runs are taken over where this one measures none. Raises CommandError when they can't be read.
    """
    started = time.monotonic()
    report = Report(_command(options, parts))
    documents = [read_json(path) for path in earlier]

    def save(so_far: Report) -> None:
        so_far.command["seconds"] = time.monotonic() - started
        if file is not None:
            write_json(so_far, file)

    Runner(options, report, save, lambda text: say(f"{time.monotonic() - started:6.0f} s  {text}")).run(parts)
    if documents:
        _adopt(report, documents)
        save(report)
    return report


def _adopt(report: Report, documents: Sequence[dict[str, Any]]) -> None:
    for document in documents:
        for ours, theirs in ((report.machine, document["machine"]), (report.model, document["model"])):
            same = ("gpu", "cores", "shape")
            if ours and theirs and any(ours.get(name) != theirs.get(name) for name in same):
                raise CommandError("an earlier run was of another model or on another machine: not one table")
        report.adopt(document)
    order = [part.name for part in PARTS]
    report.parts = dict(sorted(report.parts.items(), key=lambda item: order.index(item[0])))
    report.derived = derive(report)


def read_json(file: Path) -> dict[str, Any]:
    """A report as an earlier run wrote it. Raises CommandError."""
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} is not the report of an earlier run: {error}") from None
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise CommandError(f"{file} is not a report of version {SCHEMA_VERSION}")
    return document


def write_json(report: Report, file: Path) -> None:
    """The old file is there until the new one is whole."""
    beside = file.with_name(file.name + ".part")
    beside.write_text(json.dumps(report.document(), indent=1) + "\n", encoding="utf-8")
    os.replace(beside, file)


def _command(options: BenchOptions, parts: Sequence[Part]) -> dict[str, object]:
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parts": {part.name: part.about for part in parts},
        "model": options.model,
        "settings": options.settings.model_dump(mode="json"),
        "sizes": dict(options.sizes),
        "budgets": {part.name: options.budgets.of(part.name) for part in parts},
    }
