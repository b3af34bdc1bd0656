"""What the README says works: its links, its commands, its settings, its code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.settings import SECTIONS, known_variables
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import read_topic

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_and_option_exists() -> None:
    commands = re.findall(r"sightstream ([a-z]+)([^`\n#]*)", "\n".join([*blocks("sh"), README]))
    verbs = {verb: set() for verb, _ in commands if verb in run("-m", "sightstream", "--help")}
    for verb, rest in commands:
        if verb in verbs:
            verbs[verb] |= set(re.findall(r"--[a-z-]+", rest))
    assert {"up", "publish", "worker", "store", "results", "lookup", "lag", "ask"} <= set(verbs)
    for verb, options in verbs.items():
        text = run("-m", "sightstream", verb, "--help")
        assert [option for option in options if option not in text] == [], verb


def test_every_setting_exists() -> None:
    (example,) = blocks("toml")
    uncommented = re.sub(r"^# (\w+ = )", r"\1", example, flags=re.MULTILINE)
    variables = known_variables()
    for section, values in tomllib.loads(uncommented).items():
        assert section in SECTIONS
        for name in values:
            assert f"SIGHTSTREAM_{section}_{name}".upper() in variables
    for variable in re.findall(r"SIGHTSTREAM_[A-Z_]+[A-Z]", README):
        assert any(known.startswith(variable) for known in variables), variable


@pytest.mark.real
def test_the_embedded_publisher_publishes(
    runtime: LocalRuntime, topics: TopicSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS", runtime.kafka_settings.bootstrap_servers)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_REQUESTS", topics.requests)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_PARTITIONS", str(topics.partitions))
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own page
    (record,) = read_topic(runtime.kafka_settings, topics.requests)
    assert record.key() == b"sku-17"
