"""One run: workers and a store on a cluster, requests of uneven length, faults while there is work left."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Literal

from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.pipeline.engine.simulated import SECONDS
from sightstream.schemas.connections.s3_client import s3_client
from sightstream.schemas.wire.dead_letter import RecordId
from tests.faults.checker import violations
from tests.faults.cluster import Cluster
from tests.faults.faulty_worker import ARMED
from tests.faults.gated_engine import INFERRED
from tests.faults.harness import ROOT, WorkerHarness, wait_for
from tests.faults.history import Fault, History
from tests.faults.network import Network
from tests.faults.small_disk import SmallDisk
from tests.faults.wall_clock import WallClock

SESSION_S = 6
MAX_IN_FLIGHT = 16
RECOVERY_LIMIT_S = SESSION_S + 10
# A dead broker costs its fencing, new coordinators, which read their logs, and requests that wait for the old ones.
BROKER_RECOVERY_LIMIT_S = 45
WORK_LEFT = 400  # requests at each fault; some faults last for long
# What a worker committed just before a fault can reach the reader a moment after it, and is no recovery.
STILL_ARRIVING_S = 0.5
BUCKET = "fault-images"
EMBEDDED_SETTINGS: dict[str, object] = {
    "engine_kind": "slots",
    "engine_checkpoint": ROOT / "infra" / "lab" / "demo_model" / "checkpoint",
    "engine_device": "cpu",
    "engine_threads": 1,
    "engine_hang_timeout_s": 60,
}
LOADING_S = 30  # until the embedded model answers, on a machine that runs several

EngineName = Literal["simulated", "embedded"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What only some machines allow to break: a network and small disks of a broker and of the store, as root; a
    clock, with cc.
    """

    network: Network | None = None
    disk: SmallDisk | None = None
    disk_node: int = 0
    store_disk: SmallDisk | None = None
    clock: WallClock | None = None

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(name for name in ("network", "disk", "store_disk", "clock") if getattr(self, name) is not None)


@dataclass(slots=True)
class Mark:
    """What was so at the moment of a fault, which hit these partitions and so many workers."""

    fault: Fault
    at_ms: int
    partitions: frozenset[int]
    hit: int


@dataclass
class FaultRun:
    """Fresh topics, workers and a store; `inject` functions of faults.py break what it has."""

    cluster: Cluster
    folder: Path
    random: Random
    uses_s3: bool = False
    surroundings: Surroundings = field(default_factory=Surroundings)
    engine: EngineName = "simulated"
    settings: dict[str, object] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    poison: int = 0
    store_restarts: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.events = self.folder / "events"
        self.events.touch()
        self.armed = self.folder / "armed"
        store_disk = self.surroundings.store_disk
        self.database = (store_disk.path if store_disk else self.folder) / f"{self.folder.name}.db"
        self.harness = WorkerHarness(self.cluster.kafka_settings, self.cluster.create_topics(), self.folder)
        clock = self.surroundings.clock
        self.harness.environment = {ARMED: str(self.armed)} | (clock.environment if clock else {})
        s3 = self.cluster.s3_settings
        secret = s3.secret_access_key.get_secret_value() if s3.secret_access_key else ""
        self.harness.settings = {
            "worker_session_timeout_s": SESSION_S,
            "engine_max_batch": 8,
            "engine_hang_timeout_s": 2,
            "flow_max_in_flight": MAX_IN_FLIGHT,
            "s3_endpoint_url": s3.endpoint_url or "",
            "s3_access_key_id": s3.access_key_id or "",
            "s3_secret_access_key": secret,
            "fetch_connect_timeout_s": 1,
            "fetch_total_timeout_s": 2,
            "worker_breaker_probe_s": 0.5,
            **(EMBEDDED_SETTINGS if self.engine == "embedded" else {}),
            **self.settings,
        }
        self.store: subprocess.Popen[bytes] | None = None

    # --- the parts ----------------------------------------------------------------------------------------

    def start_worker(self, name: str | None = None, *faults: str) -> str:
        """Start a worker and return its name. Its faults, such as `kill@after_offsets`, wait until it is `armed`."""
        name = name or f"w{len(self.harness.workers)}"
        gate = self.folder / "gate"  # nothing is held
        self.harness.program = ("tests.faults.faulty_worker", str(gate), str(self.events), "0", *faults)
        self.workers[name] = self.harness.start_worker(name)
        return name

    def start_worker_inside(self) -> str:
        """Start a worker in the network namespace and return its name."""
        assert self.surroundings.network is not None
        self.harness.prefix = self.surroundings.network.prefix
        try:
            return self.start_worker()
        finally:
            self.harness.prefix = ()

    def transactional_id(self, name: str) -> str:
        return f"{self.harness.group}-{name}"

    def start_store(self) -> None:
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.cluster.kafka_settings.bootstrap_servers,
            "TOPICS_REQUESTS": self.harness.topics.requests,
            "TOPICS_RESULTS": self.harness.topics.results,
            "TOPICS_DEAD_LETTERS": self.harness.topics.dead_letters,
            "STORE_PATH": str(self.database),
            "STORE_GROUP_ID": f"{self.harness.group}-store",
            "STORE_SESSION_TIMEOUT_S": str(SESSION_S),
        }
        environment = os.environ | {f"SIGHTSTREAM_{name}": value for name, value in variables.items()}
        with (self.folder / "store.log").open("ab") as log:
            command = [sys.executable, "-m", "sightstream", "store"]
            self.store = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    def keep_store(self) -> None:
        """Start the store again if it has ended by itself, as a supervisor does."""
        if self.store is not None and self.store.poll() is not None:
            self.store_restarts += 1
            self.start_store()

    def stop(self) -> None:
        self.harness.stop()
        if self.store is not None:
            self.store.send_signal(signal.SIGCONT)
            self.store.kill()
            self.store.wait()

    # --- the requests -------------------------------------------------------------------------------------

    def publish(self, count: int, products: int = 60) -> None:
        """Publish requests of uneven length: most are quick, one in twenty holds up the requests of its product."""
        images = [self.harness.image()]
        if self.uses_s3:
            images.append(self._s3_image())

        def each(number: int) -> dict[str, object]:
            seconds = self.random.choice((0.01, 0.03, 0.1)) if self.random.random() < 0.95 else 0.6
            max_tokens = max(1, round(seconds * 100))  # of the embedded model
            return {
                "question": f"{SECONDS}{seconds} r{number:06}",
                "image": {"uri": self.random.choice(images)},
                "options": {"max_tokens": max_tokens},
            }

        self.harness.publish(count, products, each)

    def keep_busy(self, at_least: int) -> None:
        """Publish more when there is too little left: a fault that meets no work proves nothing."""
        if self.lag < at_least:
            self.publish(2 * at_least - self.lag)

    def publish_poison(self, questions: Collection[str] = (), images: Collection[str] = ()) -> None:
        """Publish requests that end as dead letters, in the midst of others."""
        for question in questions:
            self.harness.publish(1, question=f"{question} r{self.harness.published:06}")
        for uri in images:
            self.harness.publish(1, image={"uri": uri})
        self.poison += len(questions) + len(images)

    def _s3_image(self) -> str:
        from sightstream.infra.runtime.resources import create_bucket

        create_bucket(self.cluster.s3_settings, BUCKET)
        self.harness.image()
        s3_client(self.cluster.s3_settings).upload_file(self.folder / "good.png", BUCKET, "good.png")
        return f"s3://{BUCKET}/good.png"

    # --- faults -------------------------------------------------------------------------------------------

    @property
    def lag(self) -> int:
        return self.harness.published - self.harness.reader.count

    def partitions_of(self, name: str) -> frozenset[int]:
        """Return the partitions that the group has given to the worker."""
        wanted = self.transactional_id(name)
        return frozenset(p.partition for p, client in self._owners().items() if client == wanted)

    def _owners(self) -> dict[RecordId, str]:
        admin = AdminClient(self.cluster.kafka_settings.client_config() | {"log_level": 0})
        owners = Broker(admin, 10).membership(self.harness.group).owners
        return {RecordId(at.topic, at.partition, 0): member.client_id for at, member in owners.items()}

    def wait_for_owners(self, names: Collection[str] | None = None, timeout_s: float = 60) -> None:
        """Wait until each of these workers, or of all, has partitions: a signal kills one that is only starting."""
        wanted = {self.transactional_id(name) for name in (names if names is not None else self.workers)}

        def assigned() -> bool:
            with contextlib.suppress(KafkaReadError):
                return wanted <= set(self._owners().values())
            return False

        wait_for(assigned, "workers with partitions", timeout_s)

    def mark(self, name: str, partitions: Collection[int] | None = None, hit: int | None = None) -> Mark:
        """Note the moment right before a fault that hits these partitions, or all, and so many workers, or all.

        Publishes more first when there is too little left to do.
        """
        self.keep_busy(WORK_LEFT)
        chosen = frozenset(self.harness.published_to if partitions is None else partitions)
        count = len(self.workers) if hit is None else hit
        return Mark(Fault(name, self.lag, self._in_flight(count)), int(time.time() * 1000), chosen, count)

    def _in_flight(self, workers: int) -> int:
        """Count what was computed and is not committed yet, and what those workers may have in their hands."""
        computed = len(set(self._inferred()))
        answered = sum(sighting.outcome.reason is None for sighting in self.harness.reader.sightings)
        return max(0, computed - answered) + workers * MAX_IN_FLIGHT

    def _inferred(self) -> list[str]:
        """Return the last word of each question that was answered, the request's name."""
        events = self.events.read_text().splitlines()
        return [event.rsplit(" ", 1)[-1] for event in events if event.startswith(INFERRED)]

    def note(self, mark: Mark, limit_s: float | None = RECOVERY_LIMIT_S, since_ms: int | None = None) -> None:
        """Wait until the outcomes of every partition that was hit go on, and note how long that took.

        Counted from the mark, or from `since_ms` where the fault lasts.
        """
        start_ms = since_ms or mark.at_ms
        if limit_s is not None and self.engine == "embedded":
            limit_s += LOADING_S
        found = self._wait_for_recovery(mark, start_ms, (limit_s or 0) + 60)
        self.faults.append(replace(mark.fault, recovery_s=found, recovery_limit_s=limit_s))

    def _wait_for_recovery(self, mark: Mark, start_ms: int, timeout_s: float) -> float | None:
        """Workers that can't commit go on computing: what they have in their hands then counts as in flight, too."""
        deadline, partitions = time.monotonic() + timeout_s, mark.partitions
        while time.monotonic() < deadline:
            self._count_in_flight(mark)
            first = self._first_outcomes(start_ms + STILL_ARRIVING_S * 1000)
            if partitions <= first.keys() | self._finished_partitions():
                return max((first[p] - start_ms for p in partitions & first.keys()), default=0) / 1000
            time.sleep(0.1)
        return None

    def last(self, mark: Mark, seconds: float) -> None:
        """Let a noted fault last until so long after its mark; what is in flight meanwhile counts as well."""
        end_ms = mark.at_ms + seconds * 1000
        while time.time() * 1000 < end_ms:
            self._count_in_flight(mark)
            self.faults[-1] = replace(self.faults[-1], in_flight=mark.fault.in_flight)
            time.sleep(0.1)

    def _count_in_flight(self, mark: Mark) -> None:
        in_flight = max(mark.fault.in_flight, self._in_flight(mark.hit))
        mark.fault = replace(mark.fault, in_flight=in_flight)

    def _first_outcomes(self, after_ms: float) -> dict[int, int]:
        """Return when each partition had its first outcome after that time."""
        first: dict[int, int] = {}
        for sighting in self.harness.reader.sightings:
            source = sighting.outcome.source
            if source is not None and sighting.seen_ms > after_ms:
                first.setdefault(source.partition, sighting.seen_ms)
        return first

    def _finished_partitions(self) -> set[int]:
        sources = (sighting.outcome.source for sighting in self.harness.reader.sightings)
        done = Counter(source.partition for source in sources if source is not None)
        return {partition for partition, count in self.harness.published_to.items() if done[partition] >= count}

    # --- the end ------------------------------------------------------------------------------------------

    def finish(self, quiet_s: float = 3.0, timeout_s: float = 240) -> History:
        """Wait until everything is answered and at rest, and look again `quiet_s` later."""
        harness = self.harness
        harness.wait_until_seen(harness.published, timeout_s)
        harness.wait_for_rest()
        time.sleep(quiet_s)  # the point is that nothing comes: there is no condition to wait for
        return self.history()

    def history(self) -> History:
        found = self.harness.history()
        counts = Counter(self._inferred())
        rows = self._rows(len(found.outcomes)) if self.store is not None else None
        return replace(found, rows=rows, inferences=counts, faults=tuple(self.faults))

    def _rows(self, wanted: int, timeout_s: float = 90) -> tuple[RecordId, ...]:
        deadline = time.monotonic() + timeout_s
        while len(rows := tuple(read_rows(self.database))) < wanted and time.monotonic() < deadline:
            self.keep_store()
            time.sleep(0.1)
        return rows

    def broken(self, history: History) -> list[str]:
        """Return what was violated, poison that spread included."""
        found = [str(violation) for violation in violations(history)]
        dead = sum(outcome.reason is not None for outcome in history.outcomes)
        return found if dead == self.poison else [*found, f"{dead} dead letters of {self.poison} poisonous requests"]


def read_rows(database: Path) -> Iterator[RecordId]:
    """Yield the position of the record of each row."""
    if not database.exists():
        return
    tables = ("results", "dead_letters", "unreadable")
    query = " UNION ALL ".join(f'SELECT topic, partition, "offset" FROM {table}' for table in tables)  # noqa: S608
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        yield from (RecordId(*row) for row in connection.execute(query))
