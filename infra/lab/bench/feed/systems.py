"""The systems under test, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sightstream.infra.lab.bench.feed.job import Job
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE

BASELINES = Path(__file__).parent / "baselines"


@dataclass(frozen=True, slots=True)
class SystemUnderTest:
    """One way to do the same job. `guarantee` says what a crash costs.

    `script` is a file in `baselines/` that is started with `arguments`; an empty one means Sightstream's own worker.
    `instances` processes are started at once.
    """

    name: str
    about: str
    guarantee: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    instances: int = 1

    def command(self, job: Path, baselines_python: Path) -> list[str]:
        """Return the command line of one instance; `job` is the file that `Job.write` made."""
        if not self.script:
            return [sys.executable, "-m", "sightstream", "worker"]
        return [str(baselines_python), str(BASELINES / self.script), str(job), *self.arguments]

    def environment(self, job: Job) -> Mapping[str, str]:
        """Return extra variables: settings for our worker; baselines read the job's file instead."""
        return {} if self.script else worker_environment(job)


OURS = SystemUnderTest("sightstream", "the worker, decoding in child processes", "exactly once")
PLAIN_LOOP = SystemUnderTest(
    "plain loop", "poll, boto3 get, Pillow open, produce, commit", "at least once", "plain_loop.py"
)
SYSTEMS = (
    OURS,
    PLAIN_LOOP,
    SystemUnderTest("quixstreams", "one process, its exactly-once mode", "exactly once", "quix.py"),
    SystemUnderTest("arroyo", "one process", "at least once", "arroyo_app.py", ("0",)),
    SystemUnderTest("2 x plain loop", "two processes of the group", "at least once", "plain_loop.py", instances=2),
    SystemUnderTest("2 x quixstreams", "two processes of the group", "exactly once", "quix.py", instances=2),
    SystemUnderTest("arroyo with 2 workers", "its pool of two processes", "at least once", "arroyo_app.py", ("2",)),
)


def worker_environment(job: Job) -> dict[str, str]:
    """Return settings without a cache and with an engine that answers at once; everything else is the default."""
    return {
        CONFIG_VARIABLE: job.config,
        "SIGHTSTREAM_WORKER_GROUP_ID": job.group_id,
        "SIGHTSTREAM_ENGINE_KIND": "simulated",
        "SIGHTSTREAM_ENGINE_SIMULATED_S": "0",
        "SIGHTSTREAM_ENGINE_MAX_BATCH": "64",
        "SIGHTSTREAM_CACHE_KIND": "none",
        "SIGHTSTREAM_CACHE_COALESCE_IN_FLIGHT": "false",
    }
