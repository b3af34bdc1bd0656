"""`sightstream up`: runs a real Kafka and a real S3 on this machine."""

from __future__ import annotations

import json
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sightstream.infra.runtime.local import LocalRuntime
    from sightstream.schemas.wire.topics import TopicSettings

CHECK_S = 0.5
DirOption = Annotated[Path, typer.Option("--dir", help="Folder for data, logs and settings.")]


def up(
    folder: DirOption = Path(".sightstream"),
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each topic but redrives.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running; `sightstream down` stops it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the endpoints as JSON.")] = False,
) -> None:
    """Start Kafka and S3, create topics and bucket, and keep them running until Ctrl-C."""
    topics = _topics(folder, partitions)
    if detach:
        from sightstream.infra.runtime.detached import start_detached

        settings_file = start_detached(folder, _arguments(folder, partitions))
        _print_endpoints(settings_file, as_json, f"sightstream down --dir {shlex.quote(str(folder))}")
        return
    _run(folder, topics, as_json)


def _run(folder: Path, topics: TopicSettings, as_json: bool) -> None:
    from sightstream.infra.runtime.local import LocalRuntime

    for number in (signal.SIGTERM, signal.SIGINT):  # both stop it in order, even if a shell made us ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    with LocalRuntime(folder) as runtime:
        settings_file = runtime.prepare(topics, with_data=True)
        with suppress(KeyboardInterrupt):  # stopped after it became ready: a success
            _print_endpoints(settings_file, as_json, "Ctrl-C")
            _watch(runtime)
    if not as_json:
        print("Kafka and S3 have stopped; their data stays.")


def _watch(runtime: LocalRuntime) -> None:
    """Block until a signal. Raises RuntimeFailedError when Kafka or the object store dies."""
    while True:
        runtime.check()
        time.sleep(CHECK_S)


def _topics(folder: Path, partitions: int | None) -> TopicSettings:
    import os

    from sightstream.infra.settings import load
    from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE
    from sightstream.schemas.wire.topics import TopicSettings

    # SIGHTSTREAM_CONFIG may still name the file that an earlier `up` wrote. This run rewrites it, so do not read it.
    if os.environ.get(CONFIG_VARIABLE) == str(folder.resolve() / "runtime.toml"):
        del os.environ[CONFIG_VARIABLE]
    settings = load(TopicSettings)
    return settings.model_copy(update={"partitions": partitions} if partitions else {})


def _arguments(folder: Path, partitions: int | None) -> list[str]:
    return ["--dir", str(folder), *(["--partitions", str(partitions)] if partitions else [])]


def _print_endpoints(settings_file: Path, as_json: bool, how_to_stop: str) -> None:
    from sightstream.infra.runtime.config_file import read_config

    endpoints = _endpoints(settings_file, read_config(settings_file))
    if as_json:
        print(json.dumps(endpoints), flush=True)
        return
    topics = f"{', '.join(endpoints['topics'])} ({endpoints['partitions']} partitions)"
    print(
        f"Kafka   {endpoints['bootstrap_servers']}   {topics}\n"
        f"S3      {endpoints['endpoint_url']}   bucket {endpoints['bucket']}\n"
        f"Logs    {endpoints['logs']}\n\n"
        f"Point other commands at it:  export SIGHTSTREAM_CONFIG={shlex.quote(str(settings_file))}\n"
        f"Stop it:                     {how_to_stop}",
        flush=True,
    )


def _endpoints(settings_file: Path, config: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the endpoints and paths to print, without secrets."""
    kafka, s3, topics = config["kafka"], config["s3"], config["topics"]
    return {
        "config": str(settings_file),
        "logs": str(settings_file.parent / "logs"),
        "bootstrap_servers": kafka["bootstrap_servers"],
        "topics": [topics[name] for name in ("requests", "results", "dead_letters", "redrives")],
        "partitions": topics["partitions"],
        "endpoint_url": s3["endpoint_url"],
        "bucket": s3["bucket"],
    }
