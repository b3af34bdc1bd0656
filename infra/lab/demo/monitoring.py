"""Shows the demo in a Prometheus with the alerts, where one is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sightstream.infra.bootstrap.errors import SetupError
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import LOOPBACK, free_ports
from sightstream.infra.runtime.prometheus import prometheus_program

# The alerts know these jobs; the first words are the demo's names of the processes.
JOBS = {
    "worker-1": "sightstream-worker",
    "worker-2": "sightstream-worker",
    "store": "sightstream-store",
    "lookup": "sightstream-lookup",
    "lag": "sightstream-lag",
}
GRAPH = "graph?g0.range_input=5m&g0.tab=0&g0.expr=kafka_consumergroup_lag_sum"


def choose_ports() -> dict[str, int]:
    """Return a free port for the metrics of each process."""
    return dict(zip(JOBS, free_ports(len(JOBS)), strict=True))


def start_prometheus(runtime: LocalRuntime, ports: Mapping[str, int]) -> str | None:
    """Start a Prometheus that scrapes the processes, and return its address; None where it is not installed."""
    targets: defaultdict[str, list[int]] = defaultdict(list)
    for name, job in JOBS.items():
        targets[job].append(ports[name])
    (port,), folder = free_ports(1), runtime.folder
    try:
        runtime.run(prometheus_program(folder.data("prometheus"), folder.log("prometheus"), port, targets))
    except SetupError:
        return None
    return f"http://{LOOPBACK}:{port}"
