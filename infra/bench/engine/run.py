"""A whole run: options in, a report out, kept on disk from the first part on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.bench.engine.figures import Report
from infra.bench.engine.options import BenchOptions
from infra.bench.engine.parts import Part
from infra.bench.engine.runner import Runner


def run_bench(options: BenchOptions, parts: Sequence[Part], file: Path | None, say: Callable[[str], None]) -> Report:
    """Blocks until every part has ended; `file` is rewritten after each."""
    started = time.monotonic()
    report = Report(_command(options, parts))

    def save(so_far: Report) -> None:
        so_far.command["seconds"] = time.monotonic() - started
        if file is not None:
            write_json(so_far, file)

    Runner(options, report, save, lambda text: say(f"{time.monotonic() - started:6.0f} s  {text}")).run(parts)
    return report


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
