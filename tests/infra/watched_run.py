"""Workers, a store, a lookup and the lag exporter on one broker, all scraped each second by a real Prometheus."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import LOOPBACK, free_ports
from sightstream.infra.runtime.prometheus import ALERTS, prometheus_program
from sightstream.infra.runtime.service import Program, Service
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import WorkerHarness, wait_for

COMMANDS = {"store": ("store",), "lookup": ("lookup", "--serve"), "lag": ("lag", "--serve")}
WORKERS = ("worker-0", "worker-1")


@dataclass
class WatchedRun:
    """A context manager. `settings` are those of the workers and of all others, as the harness names them."""

    runtime: LocalRuntime
    topics: TopicSettings
    folder: Path
    group: str = "sightstream-workers"
    rules: Iterable[Path] = (ALERTS,)
    settings: dict[str, object] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)  # what a test opened besides

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "state").mkdir(exist_ok=True)
        names = (*WORKERS, *COMMANDS, "prometheus")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.harness = WorkerHarness(self.runtime.kafka_settings, self.topics, self.folder, self.group)
        s3 = self.runtime.s3_settings
        secret = s3.secret_access_key.get_secret_value() if s3.secret_access_key else ""
        self.settings = {
            "s3_endpoint_url": s3.endpoint_url,
            "s3_access_key_id": s3.access_key_id,
            "s3_secret_access_key": secret,
            "worker_group_id": self.group,
            "worker_state_dir": self.folder / "state",
            "store_path": self.folder / "results.db",
            "store_group_id": f"{self.group}-store",
            "lookup_data_dir": self.folder / "lookup",
            "lookup_group_id": f"{self.group}-lookup",
            "lookup_port": self.ports["lookup"],
            "lag_interval_s": 1,
            **{f"{name}_metrics_port": self.ports[name] for name in ("store", "lag")},
            **self.settings,
        }
        self.harness.settings = self.settings

    def __enter__(self) -> WatchedRun:
        targets: defaultdict[str, list[int]] = defaultdict(list)
        for name in (*WORKERS, *COMMANDS):
            targets[f"sightstream-{name.partition('-')[0]}"].append(self.ports[name])
        data, log = self.folder / "prometheus", self.folder / "prometheus.log"
        program = prometheus_program(data, log, self.ports["prometheus"], targets, self.rules)
        self.services["prometheus"] = self.runtime.run(program)
        self.services["prometheus"].wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.harness.stop()
        for service in self.services.values():
            service.begin_stop()
        for service in self.services.values():
            service.stop()
        self.closing.close()

    def start(self, *names: str) -> None:
        """Start workers, and the store, the lookup, the lag exporter, and wait until Prometheus has scraped them."""
        for name in names:
            if name in WORKERS:
                self.harness.start_worker(name, worker_metrics_port=self.ports[name])
            else:
                self.services[name] = self.runtime.run(self._program(name))
        expected = [f'up{{instance="{self.instance(name)}"}}' for name in names]
        self.wait_for(lambda: all(self.value(up) == 1 for up in expected), f"{names} up")

    def _program(self, name: str) -> Program:
        topics = {f"topics_{key}": value for key, value in self.topics.model_dump().items()}
        chosen = {"kafka_bootstrap_servers": self.runtime.kafka_settings.bootstrap_servers, **topics, **self.settings}
        variables = {f"SIGHTSTREAM_{key.upper()}": str(value) for key, value in chosen.items()}
        command = [sys.executable, "-m", "sightstream", *COMMANDS[name]]
        return Program(name, command, self.folder / f"{name}.log", lambda _: None, inherited=os.environ | variables)

    def instance(self, name: str) -> str:
        return f"{LOOPBACK}:{self.ports[name]}"

    # --- what Prometheus says -----------------------------------------------------------------------------

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        return list(self._ask("query", query=expression)["result"])

    def value(self, expression: str) -> float | None:
        """Return the one sample's value, None if there is none."""
        samples = self.query(expression)
        return float(samples[0]["value"][1]) if len(samples) == 1 else None

    def alerts(self, *states: str) -> dict[str, dict[str, str]]:
        """Return the labels of the alerts in one of these states, by name: `pending`, `firing`."""
        found = self._ask("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in found if alert["state"] in states}

    def _ask(self, what: str, **arguments: str) -> dict[str, Any]:
        url = f"http://{LOOPBACK}:{self.ports['prometheus']}/api/v1/{what}?{urlencode(arguments)}"
        with urlopen(url, timeout=30) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
        try:
            wait_for(condition, what, timeout_s)
        except AssertionError as error:
            logs = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in self.folder.glob("*.log"))
            raise AssertionError(f"{error}\n{logs}") from None
