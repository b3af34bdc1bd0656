"""Settings of a program that embeds us come from the environment and from the settings file."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sightstream.producers.publisher import ImagePublisher
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.settings_file import configured


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shop.toml"
    monkeypatch.setenv("SIGHTSTREAM_CONFIG", str(path))
    return path


def test_the_environment_comes_before_the_file_and_the_file_before_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[kafka]\nbootstrap_servers = "file:9092"\n[publish]\nlinger_s = 1\n', encoding="utf-8-sig")
    assert configured(KafkaSettings).bootstrap_servers == "file:9092"
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    assert configured(KafkaSettings).bootstrap_servers == "environment:9092"
    assert configured(PublisherSettings).linger_s == 1


def test_a_publisher_reads_it(file: Path) -> None:
    file.write_text('[kafka]\nbootstrap_servers = "a:1"\n[topics]\nrequests = "ours"\n')
    publisher = ImagePublisher()
    assert (publisher._kafka.bootstrap_servers, publisher._topics.requests) == ("a:1", "ours")


def test_what_is_wrong_with_it_is_raised(file: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        configured(KafkaSettings)
    file.write_text("[kafka]\nbootstrap_server = 'a'\n")
    with pytest.raises(ValidationError, match="bootstrap_server"):
        configured(KafkaSettings)
