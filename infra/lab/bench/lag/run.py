"""Runs the three parts, one after the other, each on its own topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sightstream.infra.lab.bench.lag import held, many, scraped
from sightstream.infra.lab.bench.lag.options import LagOptions
from sightstream.infra.runtime.local import LocalRuntime


@dataclass(frozen=True, slots=True)
class Measurement:
    """What each part found; a part that was left out found nothing."""

    options: LagOptions
    held: list[held.Comparison]
    scraped: scraped.Scraped | None = None
    many: many.Many | None = None


def measure(options: LagOptions, report: Callable[[str], None]) -> Measurement:
    """Blocks for minutes. Raises CommandError when the measurement means nothing."""
    report("starting Kafka")
    with (
        TemporaryDirectory(prefix="sightstream-bench-") as name,
        LocalRuntime(Path(name) / "runtime", has_store=False) as runtime,
    ):
        return Measurement(
            options,
            held.compare(runtime, Path(name), options, report) if options.points else [],
            scraped.measure(runtime, Path(name), options, report) if options.scrapes else None,
            many.measure(runtime, options, report) if options.many else None,
        )
