"""`sightstream config`: each value with its origin, all problems at once, and never a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
CANARY = "c4n4ry-secret"


def config(*arguments: str, toml: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `sightstream config` with no settings but these."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("SIGHTSTREAM_")}
    file = ["--config", str(toml)] if toml else []
    command = [sys.executable, "-m", "sightstream", *file, "config", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, cwd=ROOT, check=False)


def shown(*arguments: str, toml: Path | None = None, **environment: str) -> dict[str, dict[str, Any]]:
    done = config("show", *arguments, "--json", toml=toml, **environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(f"[topics]\nrequests = 'file'\nresults = 'file'\n[kafka]\nsasl_password = '{CANARY}'\n")
    return path


def test_show_names_the_origin_of_each_value(toml: Path) -> None:
    topics = shown("topics", toml=toml, sightstream_topics_results="environment")["topics"]
    assert {name: (one["value"], one["origin"]) for name, one in topics.items()} == {
        "requests": ("file", "file"),
        "results": ("environment", "environment"),
        "dead_letters": ("image.dead-letters", "default"),
        "redrives": ("image.redrives", "default"),
        "partitions": (12, "default"),
        "replication_factor": (1, "default"),
    }
    assert topics["results"]["variable"] == "SIGHTSTREAM_TOPICS_RESULTS"


def test_show_prints_every_section_for_people(toml: Path) -> None:
    done = config("show", toml=toml, SIGHTSTREAM_TOPICS_RESULTS="here")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert 'results = "here" # environment: SIGHTSTREAM_TOPICS_RESULTS' in lines
    assert "partitions = 12 # default" in lines
    assert 'sasl_password = "********" # file' in lines
    assert "ssl_key_password = unset # default" in lines
    assert {"[kafka]", "[s3]", "[topics]", "[worker]", "[lag]"} <= set(lines)


def test_secrets_are_masked_wherever_they_come_from(toml: Path) -> None:
    variables = {"SIGHTSTREAM_S3_SESSION_TOKEN": CANARY, "SIGHTSTREAM_CACHE_URL": f"redis://:{CANARY}@h:1"}
    for arguments in (("show",), ("show", "--json"), ("show", "kafka"), ("check",)):
        done = config(*arguments, toml=toml, **variables)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
    found = shown(toml=toml, **variables)
    assert found["s3"]["session_token"] == {
        "value": "********",
        "origin": "environment",
        "variable": "SIGHTSTREAM_S3_SESSION_TOKEN",
        "secret": True,
    }
    assert found["kafka"]["sasl_password"]["value"] == "********"
    assert found["kafka"]["ssl_key_password"]["value"] is None


def test_credentials_in_an_address_are_hidden() -> None:
    endpoint = shown("s3", SIGHTSTREAM_S3_ENDPOINT_URL=f"https://user:{CANARY}@minio:9000/x?token={CANARY}")["s3"]
    assert endpoint["endpoint_url"]["value"] == "https://minio:9000/x"
    plain = shown("s3", SIGHTSTREAM_S3_ENDPOINT_URL="https://minio:9000")["s3"]
    assert plain["endpoint_url"]["value"] == "https://minio:9000"


def test_an_unknown_section_is_wrong_use() -> None:
    done = config("show", "kafak")
    assert done.returncode == 2
    assert "kafka" in done.stderr


def test_check_is_one_line_when_all_is_fine(toml: Path) -> None:
    done = config("check", toml=toml)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the settings of all 16 sections are valid; file: {toml}\n"


def test_check_lists_all_problems_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"[kafka]\nbootstrap = 'x'\nsasl_password = ['{CANARY}']\n[nothing]\nx = 1\n")
    done = config("check", toml=path, SIGHTSTREAM_TOPICS_PARTITIONS="0", SIGHTSTREAM_NONSENSE=CANARY)
    assert done.returncode == 2
    assert done.stdout == ""
    for words in ("NONSENSE", "unknown sections ['nothing']", "unknown keys ['bootstrap'] in [kafka]"):
        assert words in done.stderr
    assert "[kafka] sasl_password (or SIGHTSTREAM_KAFKA_SASL_PASSWORD)" in done.stderr
    assert "greater than or equal to 1" in done.stderr
    assert done.stderr.startswith("sightstream: change these settings (5):\n")
    assert CANARY not in done.stderr
    assert "Traceback" not in done.stderr


def test_show_stops_at_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[kafka]\nbootstrap = 'x'\n")
    done = config("show", "topics", toml=path)
    assert done.returncode == 2
    assert "unknown keys ['bootstrap'] in [kafka]" in done.stderr
