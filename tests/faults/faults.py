"""The faults: each waits for the moment, breaks one thing while there is work left, and notes how it went on."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from PIL import Image

from sightstream.pipeline.engine.simulated import CRASH, HANG
from tests.faults.failing_server import failing_server
from tests.faults.fault_run import BROKER_RECOVERY_LIMIT_S, SESSION_S, WORK_LEFT, FaultRun
from tests.faults.harness import wait_for

Inject = Callable[[FaultRun], None]

# Of a commit, in order.
POINTS = {
    "before_produce": "before its records",
    "after_produce": "behind its records",
    "after_offsets": "behind its offsets",
    "in_commit": "within its commit",
}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault by its number in the list of faults. `needs` names what a run must have for it."""

    name: str
    inject: Inject
    needs: frozenset[str] = frozenset()


def kill_worker(run: FaultRun) -> None:
    """Kill one at any moment; another comes back, under the same name or a new one."""
    run.wait_for_owners()
    name = run.random.choice(sorted(run.workers))
    mark = run.mark("kill -9 of a worker", run.partitions_of(name), hit=1)
    process = run.workers.pop(name)
    process.kill()
    process.wait()
    run.start_worker(name if run.random.random() < 0.5 else None)
    run.note(mark)


def kill_within_a_commit(run: FaultRun, point: str) -> None:
    """Let one more worker join, and kill it at a named point of its commit."""
    run.armed.unlink(missing_ok=True)
    name = run.start_worker(None, f"kill@{point}")
    run.wait_for_owners([name])
    mark = run.mark(f"kill -9 of a worker {POINTS[point]}", run.partitions_of(name), hit=1)
    process, broken = run.workers.pop(name), broken_image(run).as_uri()

    def has_died() -> bool:
        """Where it dies behind its records, one of them is a dead letter."""
        run.publish_poison(images=[broken])
        return process.poll() is not None

    run.armed.touch()
    wait_for(has_died, "the worker's death in a commit", 120)
    assert process.returncode == -signal.SIGKILL, run.harness.logs()[-4000:]
    run.note(mark, since_ms=int(time.time() * 1000))


def broken_image(run: FaultRun) -> Path:
    broken = run.folder / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return broken


def freeze_worker(run: FaultRun) -> None:
    """Stop one past its session, then let it go on."""
    run.wait_for_owners()
    name = run.random.choice(sorted(run.workers))
    mark = run.mark("SIGSTOP of a worker past its session", run.partitions_of(name), hit=1)
    run.workers[name].send_signal(signal.SIGSTOP)
    try:
        run.note(mark)
        run.last(mark, SESSION_S + 3)
    finally:
        run.workers[name].send_signal(signal.SIGCONT)


def restart_workers(run: FaultRun) -> None:
    """Ask each to end, and start another: nobody waits for a session."""
    for name in sorted(run.workers):
        run.wait_for_owners()
        mark = run.mark("SIGTERM, rolling", run.partitions_of(name), hit=1)
        process = run.workers.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, run.harness.logs()[-4000:]
        run.note(mark, limit_s=SESSION_S - 1, since_ms=int(time.time() * 1000))
        run.start_worker()


def rebalance_storm(run: FaultRun) -> None:
    """Workers join and leave every two seconds, some in order and some not."""
    run.wait_for_owners()
    mark = run.mark("a storm of rebalances")
    for round_ in range(5):
        name = run.start_worker()
        time.sleep(2)
        process = run.workers.pop(name)
        process.send_signal(signal.SIGTERM if round_ % 2 else signal.SIGKILL)
        process.wait(60)
    run.note(mark, since_ms=int(time.time() * 1000))


def kill_leader(run: FaultRun) -> None:
    partition = run.random.randrange(run.harness.topics.partitions)
    _kill_broker(run, "kill -9 of a leader", run.cluster.leader(run.harness.topics.results, partition))


def kill_group_coordinator(run: FaultRun) -> None:
    _kill_broker(run, "kill -9 of the group's coordinator", run.cluster.group_coordinator(run.harness.group))


def kill_transaction_coordinator(run: FaultRun) -> None:
    name = run.random.choice(sorted(run.workers))
    node = run.cluster.transaction_coordinator(run.transactional_id(name))
    _kill_broker(run, "kill -9 of a transaction's coordinator", node)


def _kill_broker(run: FaultRun, name: str, node: int) -> None:
    mark = run.mark(name)
    run.cluster.brokers[node].kill()
    try:
        run.note(mark, BROKER_RECOVERY_LIMIT_S)
    finally:
        run.cluster.brokers[node].restart()
        run.cluster.wait_until_whole(run.harness.topic_names)


def freeze_broker(run: FaultRun) -> None:
    """Stop a leader for thirty seconds: others lead meanwhile, and it comes back with an old view of everything."""
    node = run.cluster.leader(run.harness.topics.results, run.random.randrange(run.harness.topics.partitions))
    mark = run.mark("SIGSTOP of a broker for 30 s")
    run.cluster.brokers[node].pause()
    try:
        run.note(mark, BROKER_RECOVERY_LIMIT_S)
        run.last(mark, 30)
    finally:
        run.cluster.brokers[node].resume()
    run.last(mark, 40)  # its return costs a session, too
    run.keep_busy(WORK_LEFT)
    run.cluster.wait_until_whole(run.harness.topic_names)


def cut_worker(run: FaultRun) -> None:
    """Cut one worker from the brokers for a minute: others go on without it, and it comes back with old answers."""
    network = run.surroundings.network
    assert network is not None
    name = run.start_worker_inside()
    run.wait_for_owners([name])
    mark = run.mark("a worker cut from the brokers for 60 s", run.partitions_of(name), hit=1)
    network.cut()
    try:
        run.note(mark)
        run.last(mark, 60)
    finally:
        network.restore()
    run.keep_busy(WORK_LEFT)
    run.wait_for_owners([name], timeout_s=120)


def slow_worker(run: FaultRun) -> None:
    """Put one worker behind a slow line for twenty seconds."""
    network = run.surroundings.network
    assert network is not None
    name = run.start_worker_inside()
    run.wait_for_owners([name])
    mark = run.mark("a worker behind a slow line", run.partitions_of(name), hit=1)
    network.slow_down()
    try:
        run.note(mark)
        pause_until(mark.at_ms, 20)
    finally:
        network.speed_up()


def fill_disk(run: FaultRun) -> None:
    """Fill the disk of a broker, which ends at its next write; with space again, it comes back."""
    disk, broker = run.surroundings.disk, run.cluster.brokers[run.surroundings.disk_node]
    assert disk is not None
    mark = run.mark("the disk of a broker full")
    disk.fill()
    try:
        wait_for(lambda: not broker.running, "the end of the broker", 60)
        run.note(mark, BROKER_RECOVERY_LIMIT_S, since_ms=int(time.time() * 1000))
    finally:
        disk.free()
        broker.restart()
        run.cluster.wait_until_whole(run.harness.topic_names)


def move_clock(run: FaultRun) -> None:
    """Move the workers' wall clock an hour ahead, an hour back, and right again, while they work.

    An object store refuses requests of an hour ago, so its images wait until the clock is right.
    """
    clock = run.surroundings.clock
    assert clock is not None
    for seconds in (3600, -3600, 0):
        mark = run.mark("the wall clock moved an hour", hit=0)
        clock.move(seconds)
        if seconds == 0 or not run.uses_s3:
            run.note(mark)


def stop_store(run: FaultRun) -> None:
    """Kill the results store; it comes back some seconds later and has every row in the end."""
    assert run.store is not None
    mark = run.mark("the store down", hit=0)
    run.store.kill()
    run.store.wait()
    run.note(mark)
    pause_until(mark.at_ms, 10)
    run.start_store()


def stop_object_store(run: FaultRun) -> None:
    """Kill the object store: its images wait, and none becomes a dead letter."""
    mark = run.mark("the object store down", hit=0)
    run.cluster.s3.kill()
    pause_until(mark.at_ms, 10)
    run.cluster.s3.restart()
    run.note(mark, since_ms=int(time.time() * 1000))


def freeze_object_store(run: FaultRun) -> None:
    """Stop the object store, so that connections hang."""
    mark = run.mark("the object store stalls", hit=0)
    run.cluster.s3.pause()
    try:
        pause_until(mark.at_ms, 10)
    finally:
        run.cluster.s3.resume()
    run.note(mark, since_ms=int(time.time() * 1000))


def fail_object_store(run: FaultRun) -> None:
    """Let another server answer in the object store's place, with nothing but 500."""
    mark = run.mark("the object store answers 500", hit=0)
    run.cluster.s3.kill()
    with failing_server(run.cluster.s3_settings.endpoint_url or ""):
        pause_until(mark.at_ms, 10)
    run.cluster.s3.restart()
    run.note(mark, since_ms=int(time.time() * 1000))


def fill_store_disk(run: FaultRun) -> None:
    """Fill the disk of the results store, which ends or waits; with space again, it has every row in the end."""
    disk = run.surroundings.store_disk
    assert disk is not None
    mark = run.mark("the disk of the store full", hit=0)
    disk.fill()
    try:
        run.note(mark)
        pause_until(mark.at_ms, 10)
    finally:
        disk.free()
        run.keep_store()


def publish_poison(run: FaultRun) -> None:
    """One image in a hundred kills or hangs the engine, or can't be decoded: only it becomes a dead letter."""
    bomb = run.folder / "bomb.png"
    if not bomb.exists():
        Image.new("1", (20_000, 20_000)).save(bomb)
    mark = run.mark("poison, 1 %", hit=0)
    for question, image in ((CRASH, bomb), (HANG, broken_image(run))) * 2:
        run.publish_poison([question], [image.as_uri()])
        run.publish(200)
    run.note(mark, limit_s=None)


def kill_children(run: FaultRun) -> None:
    """Somebody else kills the workers' own processes: this looks like poison, and no image is to blame."""
    run.wait_for_owners()
    for _ in range(4):
        mark = run.mark("SIGKILL of a worker's child", hit=1)
        name = run.random.choice(sorted(run.workers))
        children = psutil.Process(run.workers[name].pid).children()
        with contextlib.suppress(psutil.NoSuchProcess):
            run.random.choice(children).kill()
        run.note(mark)


def pause_until(since_ms: int, seconds: float) -> None:
    """Wait until a fault has lasted that long: its length is what it is."""
    end_ms = since_ms + seconds * 1000
    wait_for(lambda: time.time() * 1000 >= end_ms, "the end of the fault", seconds + 60)


KINDS: dict[str, FaultKind] = {
    "F1": FaultKind("kill -9 of a worker", kill_worker),
    **{
        f"F1{letter}": FaultKind(f"kill -9 of a worker {where}", partial(kill_within_a_commit, point=point))
        for letter, (point, where) in zip("abcd", POINTS.items(), strict=True)
    },
    "F2": FaultKind("SIGSTOP of a worker past its session", freeze_worker),
    "F3": FaultKind("SIGTERM, rolling", restart_workers),
    "F4": FaultKind("a storm of rebalances", rebalance_storm),
    "F5a": FaultKind("kill -9 of a leader", kill_leader),
    "F5b": FaultKind("kill -9 of the group's coordinator", kill_group_coordinator),
    "F5c": FaultKind("kill -9 of a transaction's coordinator", kill_transaction_coordinator),
    "F6": FaultKind("SIGSTOP of a broker for 30 s", freeze_broker),
    "F7a": FaultKind("a worker cut from the brokers for 60 s", cut_worker, frozenset({"network"})),
    "F7b": FaultKind("a worker behind a slow line", slow_worker, frozenset({"network"})),
    "F8a": FaultKind("the store down", stop_store),
    "F8b": FaultKind("the object store down", stop_object_store, frozenset({"s3"})),
    "F8c": FaultKind("the object store stalls", freeze_object_store, frozenset({"s3"})),
    "F8d": FaultKind("the object store answers 500", fail_object_store, frozenset({"s3"})),
    "F9a": FaultKind("the disk of a broker full", fill_disk, frozenset({"disk"})),
    "F9b": FaultKind("the disk of the store full", fill_store_disk, frozenset({"store_disk"})),
    "F10": FaultKind("the wall clock moved an hour", move_clock, frozenset({"clock"})),
    "F11a": FaultKind("poison, 1 %", publish_poison, frozenset({"simulated"})),
    "F11b": FaultKind("SIGKILL of a worker's child", kill_children),
}
