"""Who takes part, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.settings import CONFIG_VARIABLE

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Contestant:
    """`promise` says what a crash costs; `script` with `arguments` runs among the peers, "" is Sightstream's worker.

    `instances` are started at once.
    """

    name: str
    about: str
    promise: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    instances: int = 1

    def command(self, job: Path, peers_python: Path) -> list[str]:
        if not self.script:
            return [sys.executable, "-m", "sightstream", "analyze"]
        return [str(peers_python), str(PEERS / self.script), str(job), *self.arguments]

    def environment(self, job: Job) -> Mapping[str, str]:
        """Ours is set up through settings; the peers read the job's file."""
        return {} if self.script else worker_environment(job)


OURS = Contestant("sightstream", "the worker, decoding in child processes", "exactly once")
PLAIN = Contestant("plain loop", "poll, boto3 get, Pillow open, produce, commit", "at least once", "plain_loop.py")
CONTESTANTS = (
    OURS,
    PLAIN,
    Contestant("quixstreams", "one process, its exactly-once mode", "exactly once", "quix.py"),
    Contestant("arroyo", "one process", "at least once", "arroyo_app.py", ("0",)),
    Contestant("2 x plain loop", "two processes of the group", "at least once", "plain_loop.py", instances=2),
    Contestant("2 x quixstreams", "two processes of the group", "exactly once", "quix.py", instances=2),
    Contestant("arroyo with 2 workers", "its pool of two processes", "at least once", "arroyo_app.py", ("2",)),
)


def worker_environment(job: Job) -> dict[str, str]:
    """Nothing is cached, and the engine answers at once; all else is as it is by default."""
    return {
        CONFIG_VARIABLE: job.config,
        "SIGHTSTREAM_WORKER_GROUP_ID": job.group,
        "SIGHTSTREAM_ENGINE_KIND": "simulated",
        "SIGHTSTREAM_ENGINE_SIMULATED_SECONDS": "0",
        "SIGHTSTREAM_ENGINE_MAX_BATCH": "64",
        "SIGHTSTREAM_CACHE_KIND": "none",
        "SIGHTSTREAM_CACHE_SHARE_IN_FLIGHT": "false",
    }
