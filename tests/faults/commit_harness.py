"""Workers with faults in their commits, slow images behind a gate, and the inferences that the engine really made."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.topics import record_key
from tests.consumers.outcomes import NOON
from tests.faults.checker import check
from tests.faults.gated_engine import HOLD
from tests.faults.harness import WorkerHarness, wait_for
from tests.faults.history import Fault, History
from tests.faults.topic_reader import read_committed_offsets

REST_TIMEOUT_S = 30
QUIET_S = 0.5
MAX_IN_FLIGHT = 12


@dataclass
class CommitHarness(WorkerHarness):
    """Requests are numbered `r000000` on, and each asks a question of its own, so that each inference has a name."""

    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gate, self.log = self.folder / "gate", self.folder / "events"
        self.log.touch()
        self.producer = Producer(self.kafka.producer_config() | {"linger.ms": 0})
        self.settings = {
            "worker_session_timeout_s": 2,
            "worker_transaction_timeout_s": 6,
            "worker_commit_interval_s": 0.05,
            "worker_commit_batch_records": 10,
            "engine_simulated_s": 0,
            "engine_max_batch": 8,
            "flow_max_in_flight": MAX_IN_FLIGHT,
            "flow_prepare_threads": 2,
        }

    def start(self, *faults: str, after: int = 0, name: str = "one", **settings: object) -> subprocess.Popen[bytes]:
        """Start a worker with faults such as `kill@after_offsets`, the first one after `after` produced records."""
        self.program = ("tests.faults.faulty_worker", str(self.gate), str(self.log), str(after), *faults)
        return self.start_worker(f"{self.group}-{name}", **settings)

    def open_gate(self) -> None:
        self.gate.touch()

    def events(self, kind: str) -> Counter[str]:
        """Count the events of a kind, `inferred` or `held` for instance, by what they concern."""
        lines = (line.partition(" ") for line in self.log.read_text().splitlines())
        return Counter(subject for event, _, subject in lines if event == kind)

    def wait_event(self, kind: str, subject: str, count: int = 1) -> None:
        self.wait(lambda: self.events(kind)[subject] >= count, f"{count} events: {kind} {subject}")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; where it does not come, show the end of the workers' logs."""
        try:
            wait_for(condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()[-4000:]}") from None

    # --- requests -----------------------------------------------------------------------------------------

    def publish_one(
        self, product: str, slow: bool = False, image: str = "good.png", question: str = "", **changes: object
    ) -> str:
        """Publish a request, which waits at the gate if it is `slow`, and return its id. `changes` are more fields."""
        name = f"r{self.published:06}"
        fields = {
            "request_id": name,
            "product_id": product,
            "image": {"uri": self._image(image)},
            "question": (HOLD if slow else "") + (question or name),
            "submitted_at": NOON,
            **changes,
        }
        request = ImageRequest.model_validate(fields)
        # Not the product's own partitioner: that one may be broken on purpose.
        partition = partition_of(product, self.topics.partitions)
        self.producer.produce(self.topics.requests, encode(request), record_key(product), partition)
        assert self.producer.flush(30) == 0
        self.published += 1
        return name

    def publish_behind_slow_one(self, quick: int, partition: int = 0) -> str:
        """Publish a slow request and `quick` others behind it, of as many products.

        From the middle on every second one has no image: with few in flight, dead letters come until the end.
        """
        products = self.products_of(partition)
        slow = self.publish_one(next(products), slow=True)
        for number, product in enumerate(islice(products, quick)):
            self.publish_one(product, image="text.png" if number % 2 and number > quick // 2 else "good.png")
        return slow

    def products_of(self, partition: int) -> Iterator[str]:
        """Yield products whose key belongs to the partition."""
        names = (f"p{number}" for number in count())
        return (name for name in names if partition_of(name, self.topics.partitions) == partition)

    def _image(self, name: str) -> str:
        if name == "text.png":
            (self.folder / name).write_text("not an image")
        return self.image(name)

    # --- what has come of them ----------------------------------------------------------------------------

    def answered(self) -> set[str | None]:
        """Return the ids of the requests that have an outcome which a `read_committed` reader can see."""
        history = self.history()
        names = {request.source: request.request_id for request in history.requests}
        return {names[outcome.source] for outcome in history.outcomes if outcome.source in names}

    def history(self) -> History:
        return replace(super().history(), inferences=self.inferences(), faults=tuple(self.faults))

    def inferences(self) -> dict[str, int]:
        """Return how often the engine has answered each question, by the request that asked it."""
        return {name.removeprefix(HOLD): count for name, count in self.events("inferred").items()}

    def start_and_wait_killed(self, *faults: str, after: int) -> set[str | None]:
        """Start a worker, wait until it has killed itself at its point, and return what was answered before."""
        assert self.start(*faults, after=after).wait(60) == -signal.SIGKILL, self.logs()[-4000:]
        return self.record_fault(faults[-1])

    def record_fault(self, name: str, at_most: int | None = None) -> set[str | None]:
        """Record that a worker was just hit, and return what was answered before.

        `at_most` is what that worker can have in hand, where others may have repeated some of it by now.
        """
        answered = self.answered()
        received = set(self.events("held") + self.events("inferred"))
        in_flight = len({name.removeprefix(HOLD) for name in received} - answered) if at_most is None else at_most
        self.faults.append(Fault(name, lag=self.published - len(answered), in_flight=in_flight))
        return answered

    def check(self, inferences: bool = True) -> None:
        """Wait for rest, or until it is clear that it does not come, look again a little later, and check it all."""
        with contextlib.suppress(AssertionError):  # the checker says more about what is missing
            self.wait_until_at_rest()
        time.sleep(QUIET_S)  # the point is that nothing comes: there is no condition to wait for
        history = self.history()
        check(history if inferences else replace(history, inferences=None))

    def wait_until_at_rest(self) -> None:
        wait_for(self._is_at_rest, "rest: all requests committed, no transaction open", REST_TIMEOUT_S)

    def _is_at_rest(self) -> bool:
        """Return whether every request is covered by the committed offsets, and no transaction is open."""
        ends = self._ends()
        committed = read_committed_offsets(self.kafka, self.group, self.topics.requests)
        requests = {end.partition: end.high for end in ends if end.topic == self.topics.requests and end.high}
        at_end = all(p in committed and committed[p].offset >= high for p, high in requests.items())
        return at_end and all(end.stable == end.high for end in ends)


def partition_of(product: str, partitions: int) -> int:
    """Return the partition on which Java's clients put this product."""
    number: int = murmur2(record_key(product))
    return (number & 0x7FFFFFFF) % partitions


@contextlib.contextmanager
def stopped(worker: subprocess.Popen[bytes]) -> Iterator[None]:
    """Wait until the worker has stopped itself, and continue it after the block."""
    stat = Path(f"/proc/{worker.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "a worker that has stopped itself")
    yield
    worker.send_signal(signal.SIGCONT)
