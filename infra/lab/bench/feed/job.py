"""What every contestant is told: where the requests, the images and the results are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """`requests` holds one image request a record; one record each is to come out on `results`.

    `s3` is what boto3's client takes; `config` the settings file that says the same to Sightstream.
    """

    bootstrap_servers: str
    requests: str
    results: str
    group: str
    s3: dict[str, object]
    config: str

    def write(self, folder: Path) -> Path:
        """As JSON, for programs in other environments. Readable by its owner alone."""
        file = folder / f"{self.group}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return file
