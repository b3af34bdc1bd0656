"""Runs a healthy pipeline under the alerts, and fails if one fires: `python -m tests.infra.alerts.healthy`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.resources import create_topics
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.infra.alerts.shorten import write_shortened
from tests.infra.watched_run import WatchedRun

BROKEN_EVERY = 100  # a shop always has some images that are gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--per-second", type=int, default=5, help="requests")
    parser.add_argument("--factor", type=int, default=1, help="divides the durations of the alerts")
    options = parser.parse_args()
    topics = TopicSettings(partitions=4)
    with tempfile.TemporaryDirectory() as folder, LocalRuntime(Path(folder) / "runtime") as runtime:
        create_topics(runtime.kafka_settings, topic_specs(topics))
        rules = [write_shortened(Path(folder), options.factor)]
        with WatchedRun(runtime, topics, Path(folder) / "run", rules=rules) as run:
            run.start("lag", "store", "lookup", "worker-0", "worker-1")
            fired = watch(run, 60 * options.minutes, options.per_second)
            answered = run.value("sum(sightstream_worker_results_total)")
            scraped = run.value("sum(count_over_time(up[1h]))")
    counts = f"{run.harness.published} published, {answered:.0f} answered, {scraped:.0f} scrapes"
    print(f"{counts}; fired: {fired or 'none'}")  # noqa: T201
    raise SystemExit(1 if fired else 0)


def watch(run: WatchedRun, seconds: float, per_second: int) -> set[str]:
    """Publish at an even pace and return the alerts that fired."""
    fired: set[str] = set()
    end = time.monotonic() + seconds
    missing = (run.folder / "missing.png").as_uri()
    while time.monotonic() < end:
        run.harness.publish(
            per_second, each=lambda number: {} if number % BROKEN_EVERY else {"image": {"uri": missing}}
        )
        fired |= run.alerts("firing").keys()
        time.sleep(1)
    return fired


if __name__ == "__main__":
    main()
