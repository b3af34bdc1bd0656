"""Runs the demo in order: runtime, images, workers, publish, kill, wait, check, report."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from sightstream.consumers.lookup.client import LookupUnavailable, ask
from sightstream.consumers.lookup.folder import read_address
from sightstream.infra.errors import CommandError
from sightstream.infra.lab.demo import children
from sightstream.infra.lab.demo.attributes import (
    print_attributes,
    print_reliability,
    read_attributes,
    right_fractions,
)
from sightstream.infra.lab.demo.lag_thread import LagThread
from sightstream.infra.lab.demo.monitoring import GRAPH, choose_ports, start_prometheus
from sightstream.infra.lab.demo.report import (
    Reconciliation,
    accuracy,
    print_answers,
    print_dead_letters,
    print_lookups,
    print_next_steps,
    print_reconciliation,
)
from sightstream.infra.lab.demo.screen import Screen
from sightstream.infra.lab.demo.shop import ShopImage, shop_images
from sightstream.infra.lab.demo.watch import OutcomeWatch
from sightstream.infra.runtime.folder import RuntimeFolder
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.service import Service
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.wire.codec import decode_result
from sightstream.schemas.wire.result_v2 import AnyResult
from sightstream.schemas.wire.topics import TopicSettings

PARTITIONS = 6
LOOKUPS = 3
OUTCOME_TIMEOUT_S = 600.0
CATCH_UP_TIMEOUT_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of a run: `images` does not count broken ones; `keep` leaves everything running until Ctrl-C."""

    folder: Path
    images: int
    seed: int
    keep: bool


def run_demo(options: DemoOptions, console: Console) -> dict[str, object]:
    """Run the demo and return its report, whose `problems` are empty if it is balanced.

    Blocks for a minute or two. Raises CommandError.
    """
    topics = TopicSettings(partitions=PARTITIONS)
    with LocalRuntime(_emptied(options.folder)) as runtime:
        console.print("Kafka and S3 are up; drawing images and uploading them to S3")
        ports = choose_ports()
        config = children.write_settings(runtime.folder.path, runtime.prepare(topics), ports)
        images = list(shop_images(options.seed, options.images, DEFAULT_BUCKET))
        _upload(runtime, images)
        with closing(OutcomeWatch(runtime.kafka_settings, topics)) as watch:
            report = _Run(options, console, runtime, config, ports, topics, images, watch).run()
        if options.keep:
            _wait_for_interrupt(console, config)
    return report


@dataclass(frozen=True, slots=True)
class _Run:
    options: DemoOptions
    console: Console
    runtime: LocalRuntime
    config: Path
    ports: Mapping[str, int]
    topics: TopicSettings
    images: Sequence[ShopImage]
    watch: OutcomeWatch

    def run(self) -> dict[str, object]:
        self._start_monitoring()
        self._start("store", "store")
        lookup = self._start("lookup", "lookup", "--serve")
        first, second = (self._start(name, "worker") for name in children.WORKERS)
        seconds = self._answer_all(first, second)
        return self._report(seconds, lookup)

    def _start_monitoring(self) -> None:
        if address := start_prometheus(self.runtime, self.ports):
            self._start("lag", "lag", "--serve")
            self.console.print(f"Prometheus: {address}/{GRAPH} and {address}/alerts", soft_wrap=True)

    def _start(self, name: str, *arguments: str) -> Service:
        folder, port = self.runtime.folder.path, self.ports[name]
        return self.runtime.run(children.make_program(folder, self.config, name, port, *arguments))

    def _answer_all(self, doomed: Service, survivor: Service) -> float:
        """Publish, kill one worker half-way, and read until every request has its outcome; return the seconds."""
        topics, total = self.topics, len(self.images)
        lag = LagThread(self.runtime.kafka_settings, children.WORKER_GROUP, topics.requests)
        with closing(lag), Screen(self.console, total, self.watch) as screen:
            screen.add_event(f"publishing {total} events; two workers load the model")
            self._publish()
            start, alive = time.monotonic(), True
            while self.watch.outcomes < total:
                self.watch.read(0.25)
                screen.show(lag.newest)
                if alive and self.watch.outcomes >= total // 2:
                    doomed.kill()
                    alive = False
                    screen.add_event("worker-1 killed with SIGKILL; worker-2 gets its partitions in about 6 s")
                self._check(start, survivor)
            screen.add_event("every event has its outcome")
            self.watch.read(2)  # a duplicate would show now
            screen.show(lag.newest)
        return time.monotonic() - start

    def _publish(self) -> None:
        with ImagePublisher(kafka=self.runtime.kafka_settings, topics=self.topics) as publisher:
            for image in self.images:
                publisher.publish(image.request)

    def _check(self, start: float, survivor: Service) -> None:
        self.runtime.check()
        survivor.check()
        if time.monotonic() - start > OUTCOME_TIMEOUT_S:
            raise CommandError(f"not done after {OUTCOME_TIMEOUT_S:.0f} s; see {survivor.program.log}")

    def _report(self, seconds: float, lookup: Service) -> dict[str, object]:
        folder = self.runtime.folder.path
        rows = _wait_for(lambda: _count_rows(folder), lambda found: found >= len(self.images))
        found = self._look_up(folder, lookup)
        counts = Reconciliation(
            published=len(self.images),
            results=len(self.watch.results),
            dead_letters=len(self.watch.dead_letters),
            duplicates=self.watch.duplicates,
            store_rows=rows,
            looked_up=sum(result is not None for result in found.values()),
            looked_up_of=len(found),
        )
        accuracy_by_label = accuracy(self.images, self.watch)
        print_dead_letters(self.console, self.watch)
        print_answers(self.console, self.images, self.watch)
        attributes = read_attributes(self.images, self.watch)
        print_attributes(self.console, attributes)
        print_reliability(self.console, attributes)
        print_lookups(self.console, found)
        print_reconciliation(self.console, counts, accuracy_by_label, seconds)
        print_next_steps(self.console, folder, children.database(folder), self.options.keep)
        return counts.as_document() | {
            "accuracy": accuracy_by_label,
            "attributes": right_fractions(attributes),
            "seconds": round(seconds, 1),
        }

    def _look_up(self, folder: Path, lookup: Service) -> dict[str, AnyResult | None]:
        """Look up three answered products, once the table has caught up."""
        products = sorted({result.product_id for result in self.watch.results.values()})
        sample = products[:: max(1, len(products) // LOOKUPS)][:LOOKUPS]
        lookup.check()

        def ask_all() -> dict[str, AnyResult | None]:
            return {product: _look_up(folder, product) for product in sample}

        return _wait_for(ask_all, lambda found: all(found.values()))


def _look_up(folder: Path, product: str) -> AnyResult | None:
    address = read_address(children.lookup_folder(folder))
    try:
        answer = ask(address, product) if address else None
    except LookupUnavailable:
        return None
    return decode_result(json.dumps(answer.document["result"]).encode()) if answer else None


def _count_rows(folder: Path) -> int:
    file = children.database(folder)
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        counts = [database.execute(f"SELECT count(*) FROM {table}") for table in ("results", "dead_letters")]  # noqa: S608
        return sum(cursor.fetchone()[0] for cursor in counts)


def _wait_for(read: Callable[[], T], is_enough: Callable[[T], bool]) -> T:
    """Call `read` until it is enough or the timeout ends, and return what it read last."""
    deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
    while not is_enough(found := read()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _emptied(path: Path) -> Path:
    """Empty the folder and return it, so that a run counts only what it did itself."""
    folder = RuntimeFolder(path.resolve())
    ownership = folder.own()
    try:
        for entry in folder.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.suffix != ".lock":
                entry.unlink()
    finally:
        ownership.release()
    return path


def _upload(runtime: LocalRuntime, images: Sequence[ShopImage]) -> None:
    from sightstream.schemas.connections.s3_client import s3_client

    client = s3_client(runtime.s3_settings)
    bodies = {image.key: image.body for image in images if image.body is not None}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: client.put_object(Bucket=DEFAULT_BUCKET, Key=item[0], Body=item[1]), bodies.items()))


def _wait_for_interrupt(console: Console, config: Path) -> None:
    console.print("\nEverything keeps running until Ctrl-C. In another terminal:", soft_wrap=True)
    console.print(f"  export SIGHTSTREAM_CONFIG={config}", soft_wrap=True)
    command = Path(sys.executable).with_name("sightstream")
    for arguments in ("lag --watch", "lookup sku-0001", "results --limit 5"):
        console.print(f"  {command} {arguments}", soft_wrap=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopping")
