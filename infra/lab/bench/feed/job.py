"""Describes the job that every system under test gets: where requests, images and results are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """The `requests` topic holds one image request per record; the system writes one result per request to `results`.

    `s3` holds the arguments of boto3's client; `config` is the settings file that says the same to Sightstream.
    """

    bootstrap_servers: str
    requests: str
    results: str
    group_id: str
    s3: dict[str, object]
    config: str

    def write(self, folder: Path) -> Path:
        """Write the job as JSON for programs in other environments; only its owner can read the file."""
        file = folder / f"{self.group_id}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return file
