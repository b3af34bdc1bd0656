"""The runtime's own life on real parts: start, break, restart, end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sightstream.infra.bootstrap.errors import SetupError
from sightstream.infra.runtime.errors import FolderInUseError, RuntimeFailedError
from sightstream.infra.runtime.folder import RuntimeFolder
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.ports import choose_ports
from sightstream.infra.runtime.service import Program
from sightstream.schemas.connections.s3_client import s3_client
from sightstream.schemas.wire.topics import TopicSettings
from tests.infra.runtime.waiting import has_ended, wait_until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[3]
ODD_NAME = "Bürø, a\\b = c's 🙂"
ONE_PARTITION = TopicSettings(partitions=1)


def put(runtime: LocalRuntime, value: bytes) -> None:
    """The value as a record and as an object."""
    producer = Producer(runtime.kafka_settings.producer_config())
    producer.produce(ONE_PARTITION.requests, value, key=b"product")
    assert producer.flush(20) == 0
    s3_client(runtime.s3_settings).put_object(Bucket=DEFAULT_BUCKET, Key="object", Body=value)


def get(runtime: LocalRuntime) -> tuple[bytes | None, bytes]:
    """The first record and the object."""
    consumer = Consumer(runtime.kafka_settings.client_config() | {"group.id": "reader"})
    consumer.assign([TopicPartition(ONE_PARTITION.requests, 0, 0)])
    message: Any = consumer.poll(20)
    consumer.close()
    body = s3_client(runtime.s3_settings).get_object(Bucket=DEFAULT_BUCKET, Key="object")["Body"].read()
    return (message and message.value()), body


def past_the_s3_part(runtime: LocalRuntime) -> list[int]:
    """Answers of the object store's filer to a user of this machine who has no key: to reading, listing, writing."""
    port = json.loads((runtime.folder.path / "identity.json").read_text())["ports"]["filer.port"]
    path = f"/buckets/{DEFAULT_BUCKET}/object"
    statuses = []
    for method, at in (("GET", path), ("GET", f"/buckets/{DEFAULT_BUCKET}/"), ("PUT", path)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, at, b"overwritten" if method == "PUT" else None)
        statuses.append(connection.getresponse().status)
        connection.close()
    return statuses


def test_a_later_run_has_the_data_on_whatever_ports(tmp_path: Path) -> None:
    folder = tmp_path / ODD_NAME
    with LocalRuntime(folder) as first:
        first.prepare(ONE_PARTITION)
        put(first, b"kept")
        assert past_the_s3_part(first) == [401, 401, 401]
        pids = [first.kafka.pid, first.s3.pid]
    assert all(has_ended(pid) for pid in pids)
    assert not first.folder.config_file.exists()

    assert {"kafka", "s3"} < {path.name for path in folder.iterdir()}
    assert (folder / "kafka" / "meta.properties").exists()
    assert [path.name for path in tmp_path.iterdir()] == [ODD_NAME]
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.iterdir()]} == {0}
    identity = folder / "identity.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"ports": choose_ports()}))
    with LocalRuntime(folder) as second:
        assert second.kafka_settings != first.kafka_settings
        assert second.s3_settings.secret_access_key == first.s3_settings.secret_access_key
        assert get(second) == (b"kept", b"kept")
        with pytest.raises(FolderInUseError, match=f"process {os.getpid()}"):
            LocalRuntime(folder).start()


def test_each_part_can_be_broken_alone(tmp_path: Path) -> None:
    with LocalRuntime(tmp_path / "run") as runtime:
        runtime.prepare(ONE_PARTITION)
        put(runtime, b"kept")

        runtime.kafka.kill()
        with pytest.raises(RuntimeFailedError, match="Kafka has died"):
            runtime.check()
        runtime.kafka.restart()
        runtime.s3.kill()
        runtime.s3.restart()
        runtime.check()
        assert get(runtime) == (b"kept", b"kept")

        admin = AdminClient(runtime.kafka_settings.client_config())
        runtime.kafka.pause()
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
        runtime.kafka.resume()
        assert ONE_PARTITION.requests in admin.list_topics(timeout=20).topics


def test_a_program_of_ones_own_ends_first(tmp_path: Path) -> None:
    last_words = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(Path(sys.argv[1]).exists())))"
    code = f"import signal, sys, time; from pathlib import Path; {last_words}; print('up', flush=True); time.sleep(600)"
    log = tmp_path / "program.log"
    with LocalRuntime(tmp_path / "run") as runtime:
        settings_file = runtime.prepare(ONE_PARTITION)
        command = [sys.executable, "-c", code, str(settings_file)]
        service = runtime.run(Program("program", command, log, lambda _: None))
        assert wait_until(lambda: "up" in log.read_text())
        os.kill(service.pid, signal.SIGSTOP)  # it is resumed to end, and has time to do so
    assert log.read_text() == "up\nTrue\n"


def test_a_broken_java_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no usable Java \(/no/java does not run\): install Java 17 or newer"):
        LocalRuntime(tmp_path / "run", java=Path("/no/java")).start()
    assert RuntimeFolder(tmp_path / "run").is_free()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    runtime = LocalRuntime(tmp_path / "run", extra_broker_properties={"num.io.threads": "none"})
    with pytest.raises(RuntimeFailedError, match=r"(?s)Kafka.*num\.io\.threads"):
        runtime.start()
    assert runtime.folder.is_free()


def test_nothing_outlives_a_killed_owner(tmp_path: Path) -> None:
    code = f"""if True:
        import time
        from pathlib import Path
        from sightstream.infra.runtime.local import LocalRuntime
        with LocalRuntime(Path({str(tmp_path / "run")!r})) as runtime:
            print(runtime.kafka.pid, runtime.s3.pid, flush=True)
            time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        os.kill(owner.pid, signal.SIGKILL)
        assert len(pids) == 2
        assert wait_until(lambda: all(has_ended(pid) for pid in pids))
    assert wait_until(RuntimeFolder(tmp_path / "run").is_free)
