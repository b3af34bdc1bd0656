"""Runs Prometheus on this machine, to look at a run of the demo or of a test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.request import urlopen

from sightstream.consumers.private_files import make_private_folder, write_private
from sightstream.infra.bootstrap.prometheus import find_prometheus
from sightstream.infra.runtime.ports import LOOPBACK
from sightstream.infra.runtime.service import Program
from sightstream.pipeline.child_environment import PROGRAM, child_environment

ALERTS = Path(__file__).parents[1] / "alerts" / "sightstream.yml"


def prometheus_program(
    folder: Path,
    log: Path,
    port: int,
    targets: Mapping[str, Iterable[int]],
    rules: Iterable[Path] = (ALERTS,),
    scrape_interval_s: int = 1,
) -> Program:
    """Return a Prometheus that scrapes loopback ports, listed by job, and keeps its data in `folder`.

    Raises SetupError where it is not installed.
    """
    make_private_folder(folder)
    config = folder / "prometheus.yml"
    write_private(config, json.dumps(_config(targets, rules, scrape_interval_s), indent=2))  # JSON is YAML
    address = f"{LOOPBACK}:{port}"
    return Program(
        name="Prometheus",
        command=[
            *(str(find_prometheus()), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
            # By default a page of any site that a browser shows may read its answers.
            *(f"--web.listen-address={address}", f"--web.cors.origin=http://{address}", "--log.level=warn"),
        ],
        log=log,
        check_ready=lambda timeout_s: _check_ready(address, timeout_s),
        inherited=child_environment(PROGRAM),
        folder=folder,
    )


def _config(targets: Mapping[str, Iterable[int]], rules: Iterable[Path], interval_s: int) -> dict[str, object]:
    return {
        "global": {
            "scrape_interval": f"{interval_s}s",
            "scrape_timeout": f"{interval_s}s",
            "evaluation_interval": f"{interval_s}s",
        },
        "rule_files": [str(rule) for rule in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"{LOOPBACK}:{port}" for port in ports]}]}
            for job, ports in targets.items()
        ],
    }


def _check_ready(address: str, timeout_s: float) -> None:
    with urlopen(f"http://{address}/-/ready", timeout=timeout_s):
        pass
