"""Environment over TOML over default; anything unknown or wrong stops the start; secrets never print."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra import settings
from sightstream.infra.settings import SECTIONS, SettingsError, known_variables, load, problems
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.connections.tracing import TracingSettings
from sightstream.schemas.wire.topics import TopicSettings

ROOT = Path(__file__).parents[2]
CANARY = "c4n4ry-secret"

Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """`configure(toml, NAME=value)`: the settings file and the environment, and no variable of ours beside them."""

    def write(toml: str = "", **environment: str) -> None:
        for name in [name for name in os.environ if name.upper().startswith("SIGHTSTREAM_")]:
            monkeypatch.delenv(name)
        (tmp_path / "settings.toml").write_text(toml)
        for name, value in {"SIGHTSTREAM_CONFIG": str(tmp_path / "settings.toml"), **environment}.items():
            monkeypatch.setenv(name, value)
        forget()

    yield write
    forget()


def forget() -> None:
    settings._read.cache_clear()
    settings.check_environment.cache_clear()


def sightstream(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTSTREAM_")}
    command = [sys.executable, "-m", "sightstream", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(configure: Configure) -> None:
    configure(
        "[topics]\nrequests = 'from.file'\nresults = 'from.file'\n", SIGHTSTREAM_TOPICS_RESULTS="from.environment"
    )
    topics = load(TopicSettings)
    assert topics.requests == "from.file"
    assert topics.results == "from.environment"
    assert topics.dead_letters == "image.dead-letters"


def test_a_lower_case_variable_counts_too(configure: Configure) -> None:
    configure("[topics]\npartitions = 3\n", sightstream_topics_partitions="7")
    assert load(TopicSettings).partitions == 7


def test_without_a_file_the_defaults_hold(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    monkeypatch.delenv("SIGHTSTREAM_CONFIG")
    assert load(TopicSettings) == TopicSettings()


def test_settings_are_frozen(configure: Configure) -> None:
    configure()
    topics = load(TopicSettings)
    for name in TopicSettings.model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(topics, name, 5)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[topcis]\npartitions = 3\n", r"unknown sections \['topcis'\]; known: .*topics"),
        ("kafka = 'here'\n", r"unknown sections \['kafka'\]"),
        ("[topics]\npartitons = 3\n", r"unknown keys \['partitons'\] in \[topics\]; known: .*partitions"),
        ("[store]\nsurprise = 3\n", r"unknown keys \['surprise'\] in \[store\]"),
        (
            "[topics]\npartitions = 0\n",
            r"partitions \(or SIGHTSTREAM_TOPICS_PARTITIONS\): .*greater than or equal to 1",
        ),
        ("[topics]\npartitions = 'many'\n", r"SIGHTSTREAM_TOPICS_PARTITIONS"),
        ("[topics\n", "is not valid TOML"),
        ("[topics]\npartitions = 3\npartitions = 4\n", "is not valid TOML"),
    ],
)
def test_a_wrong_file_stops_the_start_and_says_where(configure: Configure, toml: str, says: str) -> None:
    configure(toml)
    with pytest.raises(SettingsError, match=says) as caught:
        load(TopicSettings)
    assert caught.value.exit_code == 2


def test_a_missing_file_stops_the_start(configure: Configure, tmp_path: Path) -> None:
    configure(SIGHTSTREAM_CONFIG=str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        load(TopicSettings)


@pytest.mark.parametrize(
    "environment",
    [{"SIGHTSTREAM_TOPIC_PARTITIONS": "3"}, {"SIGHTSTREAM_KAFKA_PASWORD": CANARY}, {"sightstream_nonsense": CANARY}],
)
def test_an_unknown_variable_stops_the_start(configure: Configure, environment: dict[str, str]) -> None:
    configure(**environment)
    with pytest.raises(SettingsError, match=next(iter(environment)).upper()) as caught:
        load(TopicSettings)
    assert CANARY not in str(caught.value)


def test_a_wrong_variable_stops_the_start(configure: Configure) -> None:
    configure(SIGHTSTREAM_TOPICS_PARTITIONS="many")
    with pytest.raises(SettingsError, match="SIGHTSTREAM_TOPICS_PARTITIONS"):
        load(TopicSettings)


def test_a_list_in_the_environment_is_json_and_anything_else_says_so(configure: Configure, tmp_path: Path) -> None:
    configure(SIGHTSTREAM_FETCH_FILE_ROOTS=f'["{tmp_path}"]')
    assert load(FetchSettings).file_roots == (tmp_path,)
    configure(SIGHTSTREAM_FETCH_FILE_ROOTS=CANARY)
    with pytest.raises(SettingsError, match=r"file_roots.*write it as JSON") as caught:
        load(FetchSettings)
    assert CANARY not in str(caught.value)


def test_all_problems_are_found_at_once(configure: Configure) -> None:
    configure(
        f"[topcis]\npartitions = 3\n[s3]\nbukket = 'x'\nprofile = 3\n[kafka]\nsasl_password = ['{CANARY}']\n",
        SIGHTSTREAM_TOPICS_PARTITIONS="0",
        SIGHTSTREAM_NONSENSE="1",
        SIGHTSTREAM_FETCH_FILE_ROOTS="x",
    )
    found = problems()
    words = ["NONSENSE", "topcis", "bukket", "KAFKA_SASL_PASSWORD", "S3_PROFILE", "TOPICS_PARTITIONS", "file_roots"]
    assert [word for problem, word in zip(found, words, strict=True) if word not in problem] == []
    assert CANARY not in str(found)


def test_a_file_that_cant_be_read_is_a_problem(configure: Configure) -> None:
    configure("[topics\n", SIGHTSTREAM_NONSENSE="1")
    found = problems()
    assert len(found) == 2
    assert "is not valid TOML" in found[1]
    configure()
    assert problems() == []


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_has_an_owner_that_follows_the_rules(configure: Configure, name: str) -> None:
    configure()
    owner: type[BaseSettings] = settings.owner_of(name)
    assert owner.model_config["env_prefix"] == f"SIGHTSTREAM_{name.upper()}_"
    assert owner.model_config["frozen"] is True
    assert owner.model_config["extra"] == "forbid"
    load(owner)


def test_every_setting_has_a_variable(configure: Configure) -> None:
    configure()
    known = known_variables()
    assert known["SIGHTSTREAM_KAFKA_SASL_PASSWORD"] is KafkaSettings
    assert len(known) == 1 + sum(len(settings.owner_of(name).model_fields) for name in SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_described_and_names_its_unit_as_the_others_do(section: str) -> None:
    for name, field in settings.owner_of(section).model_fields.items():
        text = field.description or ""
        assert len(text.split()) >= 4, name
        assert text.endswith("."), name
        assert not name.endswith(("_ms", "_seconds")), name


SECRETS: list[tuple[type[BaseSettings], str]] = [
    (KafkaSettings, "sasl_password"),
    (KafkaSettings, "ssl_key_password"),
    (S3Settings, "secret_access_key"),
    (S3Settings, "session_token"),
    (S3Settings, "role_external_id"),
    (CacheSettings, "signing_key"),
    (TracingSettings, "headers"),
    (WorkerSettings, "bearer_token"),
    (StoreSettings, "bearer_token"),
    (LookupSettings, "bearer_token"),
    (LagSettings, "bearer_token"),
]


@pytest.mark.parametrize(("owner", "name"), SECRETS)
def test_secrets_never_print(configure: Configure, owner: Any, name: str) -> None:
    variable = f"{owner.model_config['env_prefix']}{name}".upper()
    configure(**{variable: CANARY})
    loaded = load(owner)
    assert getattr(loaded, name).get_secret_value() == CANARY
    for text in (repr(loaded), str(loaded), str(loaded.model_dump()), loaded.model_dump_json()):
        assert CANARY not in text


@pytest.mark.parametrize(("owner", "name"), SECRETS)
@pytest.mark.parametrize("value", [f'["{CANARY}"]', f'{{x = "{CANARY}"}}', f'"{CANARY}', f'"\\q{CANARY}"', CANARY])
def test_a_wrong_secret_is_never_repeated(configure: Configure, owner: Any, name: str, value: str) -> None:
    section = next(section for section, path in SECTIONS.items() if path.endswith(owner.__name__))
    configure(f"[{section}]\n{name} = {value}\n")
    with pytest.raises(SettingsError) as caught:
        load(owner)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_commands_end_with_2_and_one_clear_line(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("product_id,uri\n")
    config = tmp_path / "settings.toml"
    config.write_text("[kafka]\nbootstrap = 'here:9092'\n")
    by_file = sightstream("--config", config, "publish", source)
    by_environment = sightstream("publish", source, SIGHTSTREAM_KAFKA_BOOTSTRAP=CANARY)
    for done, says in ((by_file, "unknown keys ['bootstrap'] in [kafka]"), (by_environment, "KAFKA_BOOTSTRAP")):
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("sightstream: ")
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert CANARY not in done.stderr


def test_reading_settings_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from sightstream.infra.settings import known_variables; known_variables(); "
        "print(*({'torch', 'transformers', 'faust', 'boto3', 'PIL', 'aiokafka', 'confluent_kafka'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


LINKS = {
    "SIGHTSTREAM_PORT": "tcp://10.0.0.1:80",
    "SIGHTSTREAM_SERVICE_HOST": "10.0.0.1",
    "SIGHTSTREAM_SERVICE_PORT": "80",
    "SIGHTSTREAM_STORE_SERVICE_PORT_METRICS": "80",
    "SIGHTSTREAM_STORE_PORT_80_TCP": "tcp://10.0.0.1:80",
    "SIGHTSTREAM_STORE_PORT_80_UDP_ADDR": "10.0.0.1",
    "SIGHTSTREAM_LOOKUP_PORT": "tcp://10.0.0.2:6066",
    "SIGHTSTREAM_WORKER_METRICS_PORT": "tcp://10.0.0.3:9000",
}


def test_service_links_of_kubernetes_are_passed_over(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    """A service named sightstream-lookup gives every container beside it SIGHTSTREAM_LOOKUP_PORT=tcp://..."""
    configure(**LINKS)
    with caplog.at_level(logging.DEBUG):
        assert load(LookupSettings).port == LookupSettings.model_fields["port"].default
    assert sorted(str(record.args[0]) for record in caplog.records if isinstance(record.args, tuple)) == sorted(LINKS)
    configure(**LINKS)
    assert problems() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGHTSTREAM_LOOKUP_PORT", "http://x"),
        ("SIGHTSTREAM_LOOKUP_PROT", "6066"),
        ("SIGHTSTREAM_METRICS_PORT", "9000"),
        ("SIGHTSTREAM_TOPICS_REQUESTS_HOST", "10.0.0.1"),
    ],
)
def test_what_is_no_service_link_stops_the_start(name: str, value: str, configure: Configure) -> None:
    configure(**{name: value})
    with pytest.raises(SettingsError, match=name if "LOOKUP_PORT" not in name else r"\[lookup\] port"):
        load(LookupSettings)


def test_a_port_of_a_setting_is_one(configure: Configure) -> None:
    configure(SIGHTSTREAM_LOOKUP_PORT="6067")
    assert load(LookupSettings).port == 6067
